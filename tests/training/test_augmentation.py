"""Augmentation: torchvision's transforms by name, each image by itself."""

import pytest
import torch

from minnorm.errors import InputError
from minnorm.training.augmentation import load_augmentation
from minnorm.training.recipe_files import load_recipe

NAMES = ["RandomHorizontalFlip(p=0.5)", "RandomAffine(degrees=0, translate=[0.25, 0.25])"]
IMAGES = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_result_depends_on_the_image_and_its_seed_alone() -> None:
    augment = load_augmentation(NAMES)
    whole = augment(IMAGES, range(8))
    assert whole.shape == IMAGES.shape
    assert not torch.equal(whole, IMAGES)
    order = [3, 1, 7]
    torch.manual_seed(99)
    assert torch.equal(augment(IMAGES[order], order), whole[order])
    assert not torch.equal(augment(IMAGES, range(8, 16)), whole)


def test_it_leaves_the_global_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    load_augmentation(NAMES)(IMAGES, range(8))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_transforms_are_applied_in_their_order() -> None:
    augment = load_augmentation(["Pad(padding=2)", "CenterCrop(size=4)"])
    assert torch.equal(augment(IMAGES, range(8)), IMAGES[..., 2:6, 2:6])


def test_without_transforms_images_stay_as_they_are() -> None:
    assert load_augmentation([])(IMAGES, range(8)) is IMAGES


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("RandomFlip", "unknown transform 'RandomFlip'"),
        ("RandomHorizontalFlip(probability=1)", "unknown parameter 'probability'"),
        ("RandomCrop", "RandomCrop: .*size"),
        ("RandomHorizontalFlip(p=3)", "RandomHorizontalFlip.p=3.: "),
        ("Transform", "unknown transform 'Transform'"),
    ],
)
def test_wrong_transforms_are_refused(name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_augmentation([name])
    with pytest.raises(InputError, match=f"augmentation: .*{problem}"):
        load_recipe("cifar10-cnn", [f"augmentation=['{name}']"])
