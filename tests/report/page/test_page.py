"""The report, opened in a browser: what it shows, how it is used, and that it runs nothing else."""

import base64
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import nn

from evaluation.record_tables import INF, table
from minnorm import load_model
from minnorm.attacks import ddn, fgsm
from minnorm.data import fetch, load_data
from minnorm.data.dataset import from_arrays
from minnorm.evaluation import accuracy_at, evaluate, of_attack
from minnorm.report import LabeledRun, label_runs, load_runs, write_report
from report.browser import Opened, launched, opened
from report.made_records import RUNS
from report.made_runs import made_run

pytestmark = pytest.mark.slow

NETWORKS = ("mnist-cnn", "mnist-cnn-ddn", "mnist-cnn-madry-l2")
ATTACKS = ("normal_pursuit(budget=10)", "ddn(steps=10)")
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"
CLOSING = "</script><script>document.title='hacked'</script>"
CURVES = ".plot.exact .mark-line path"
SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[LabeledRun]:
    """Runs of three networks over the same images."""
    folder = tmp_path_factory.mktemp("runs")
    for name in NETWORKS:
        evaluate(f"zoo:{name}", "mnist-sample[:20]", ATTACKS, out=folder / name, accelerate="off")
    return load_runs([folder / name for name in NETWORKS])


@pytest.fixture(scope="module")
def report(runs: list[LabeledRun]) -> Path:
    """The report of the three networks."""
    assert runs[0].run.directory is not None
    path = runs[0].run.directory.parent / "report.html"
    write_report(runs, path, epsilons=(1.0, 2.0))
    return path


@pytest.fixture(scope="module")
def single(runs: list[LabeledRun], report: Path) -> Path:
    """The report of one network."""
    path = report.with_name("single.html")
    write_report(runs[:1], path)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose model, data, classes and attacks have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    images, labels = load_data("mnist-sample[:8]").batch(range(8))
    data = from_arrays(f"data{HOSTILE}", images, labels, classes=(HOSTILE, CLOSING, *"23456789"))
    model = type(f"Model{CLOSING}", (nn.Sequential,), {})(load_model("zoo:mnist-cnn")).eval()
    attacks = {
        f"a{HOSTILE}": partial(ddn, steps=8),
        f"b{CLOSING}": partial(fgsm, epsilon=0.2),
        "{{ 7 * 7 }} <!-- <script>": partial(ddn, steps=3),
    }
    evaluate(model, data, attacks, out=folder / "run", accelerate="off")
    path = folder / "report.html"
    write_report(load_runs([folder / "run"]), path, title=f"Title {HOSTILE}{CLOSING}")
    return path


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_a_page_is_quiet_fits_and_requests_nothing(
    browser: Browser, report: Path, width: int, theme: str
) -> None:
    with opened(browser, report, width=width, theme=theme) as found:
        assert found.complaints == []
        assert [one for one in found.requests if not one.startswith("data:")] == [report.as_uri()]
        widths = "[document.documentElement.scrollWidth, innerWidth]"
        assert found.page.evaluate(widths) == [width, width]
        assert found.page.locator(".plot svg").count() == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "hostile"])
def test_axe_finds_no_violation(
    browser: Browser, which: str, theme: str, request: pytest.FixtureRequest
) -> None:
    with opened(browser, request.getfixturevalue(which), theme=theme, audit=True) as found:
        for details in found.page.locator("details").all():
            details.evaluate("one => { one.open = true; }")
        assert found.violations() == []


def test_a_page_is_small_and_opens_fast(browser: Browser, report: Path) -> None:
    text = report.read_text()
    without_images = re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert len(without_images.encode()) < 2e6
    times = []
    for _ in range(3):
        with opened(browser, report) as found:
            times.append(found.page.evaluate("performance.now()"))
    assert min(times) < 2000


def test_the_sections_follow_in_the_promised_order(browser: Browser, single: Path) -> None:
    with opened(browser, single) as found:
        assert found.page.locator("h2").all_inner_texts() == [
            "What was measured", "Attacks", "Robustness curves", "Distances", "Adversarials",
            "Results per class", "Findings", "Provenance",
        ]  # fmt: skip


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_theme_can_be_chosen(browser: Browser, single: Path, theme: str) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    curve = f"getComputedStyle(document.querySelector('{CURVES}')).stroke"
    with (
        opened(browser, single, theme="light") as light,
        opened(browser, single, theme="dark") as dark,
    ):
        pages = {"light": light.page, "dark": dark.page}
        expected = [pages[theme].evaluate(one) for one in (color, curve)]
        other = pages["light" if theme == "dark" else "dark"]
        assert [other.evaluate(one) for one in (color, curve)] != expected
        other.get_by_label("Theme").select_option(theme)
        assert [other.evaluate(one) for one in (color, curve)] == expected


def curves_shown(page: Page) -> int:
    """Return the number of curves in the chart."""
    return page.locator(CURVES).count()


def test_models_and_attacks_are_switched_by_keyboard(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = found.page
        assert curves_shown(page) == 3  # the worst case of each network
        # The worst case of each network has a band; where it is hidden, each attack.
        steps = (("ddn(steps=10)", 6, 3), ("mnist-cnn-ddn", 4, 2), ("worst case", 2, 2))
        for name, curves, bands in steps:
            page.locator(".choices").get_by_label(name, exact=True).focus()
            page.keyboard.press("Space")
            page.wait_for_function(f"document.querySelectorAll('{CURVES}').length === {curves}")
            assert page.locator(".reading tbody tr:visible").count() == curves
            assert page.locator(".plot.exact .mark-area path").count() == bands
        page.get_by_label("95 % confidence bands").uncheck()
        page.wait_for_function(
            "document.querySelectorAll('.plot.exact .mark-area path').length === 0"
        )


def readings(page: Page) -> list[str]:
    """Return the accuracies that the page shows at the chosen radius."""
    return page.locator(".reading tbody tr:visible [data-accuracy]").all_inner_texts()


def expected_readings(runs: list[LabeledRun], radius: float) -> list[str]:
    """Return the accuracies of the closest adversarials at a radius, from the records."""
    parts = [run.parts()["worst case"] for run in runs]
    return [f"{100 * accuracy_at(part, radius).value:.1f} %" for part in parts]


def test_the_slider_shows_the_accuracy_at_a_radius(
    browser: Browser, report: Path, runs: list[LabeledRun]
) -> None:
    with opened(browser, report) as found:
        page = found.page
        slider = page.get_by_role("slider", name="L2 radius")
        assert readings(page) == expected_readings(runs, float(slider.input_value()))
        slider.focus()
        seen = set()
        for key in ("Home", *["PageUp"] * 8, "ArrowLeft", "ArrowRight", "End"):
            page.keyboard.press(key)
            shown = readings(page)
            assert shown == expected_readings(runs, float(slider.input_value())), key
            seen.add(tuple(shown))
        assert len(seen) > 4
        page.get_by_label("L2 radius as a number").fill("1.2345")
        assert readings(page) == expected_readings(runs, 1.2345)


def test_a_reading_below_a_fixed_radius_is_an_upper_bound(browser: Browser, tmp_path: Path) -> None:
    records = table([0.3] * 6 + [INF] * 4, radius_limit=0.3, fixed_radii="0.3")
    write_report(label_runs([made_run(records)]), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as found:
        field = found.page.get_by_label("L2 radius as a number")
        for radius, shown in (("0", "100.0 %"), ("0.1", "≤ 100.0 %"), ("0.3", "40.0 %")):
            field.fill(radius)
            assert readings(found.page) == [shown]


def test_the_pointer_shows_the_accuracy_where_it_is(
    browser: Browser, report: Path, runs: list[LabeledRun]
) -> None:
    with opened(browser, report) as found:
        page = found.page
        plot = page.locator(".plot.exact").bounding_box()
        assert plot is not None
        slider, radii = page.get_by_role("slider", name="L2 radius"), []
        for part in (0.3, 0.6, 0.9):
            page.locator(".plot.exact").hover(position={"x": part * plot["width"], "y": 100})
            radii.append(float(slider.input_value()))
            assert readings(page) == expected_readings(runs, radii[-1])
        farthest = float(slider.get_attribute("max") or "nan")
        # The axis fills the chart from the labels on the left to the right edge.
        assert (radii[2] - radii[1]) / farthest == pytest.approx(0.3, rel=0.15)
        assert radii[1] - radii[0] == pytest.approx(radii[2] - radii[1], rel=0.05)


def closest_distances(run: LabeledRun) -> Any:
    """Return the distances of the closest adversarials, 0 for misclassified samples."""
    return run.parts()["worst case"].column("l2").to_numpy()


def test_the_gallery_is_walked_by_keyboard(
    browser: Browser, single: Path, runs: list[LabeledRun]
) -> None:
    with opened(browser, single) as found:
        page = found.page
        strip = page.get_by_role("listbox")
        count = strip.get_by_role("option").count()
        assert count == int((closest_distances(runs[0]) > 0).sum())

        def place() -> int:
            chosen = strip.locator("[aria-selected=true]")
            assert chosen.count() == 1
            assert strip.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
            shown = page.locator(".slides > figure:visible")
            assert shown.count() == 1
            return int((chosen.get_attribute("id") or "").rsplit("-", 1)[1])

        strip.focus()
        assert place() == 1
        for key, expected in (
            ("ArrowRight", 2), ("ArrowDown", 3), ("ArrowLeft", 2), ("End", count),
            ("ArrowRight", count), ("ArrowUp", count - 1), ("Home", 1), ("ArrowLeft", 1),
        ):  # fmt: skip
            page.keyboard.press(key)
            assert place() == expected, key
        assert page.get_by_role("button", name="Previous").is_disabled()
        page.get_by_role("button", name="Next").click()
        assert place() == 2
        status = page.locator(".gallery [role=status]").inner_text()
        assert re.fullmatch(rf"2 of {count}: sample \d+, .+ becomes .+, L2 distance [\d.]+", status)
        texts = page.locator(".slides figcaption strong").all_text_contents()
        distances = [float(text) for text in texts]
        assert distances == sorted(distances)


def test_the_images_of_the_gallery_are_those_of_the_run(
    browser: Browser, single: Path, runs: list[LabeledRun]
) -> None:
    with opened(browser, single) as found:
        figure = found.page.locator(".slides > figure").first
        source = figure.locator("img").first.get_attribute("src") or ""
        sizes = "image => [image.naturalWidth, image.naturalHeight]"
        assert figure.locator("img").count() == 3
        assert figure.locator("img").first.evaluate(sizes) == [28, 28]
        caption = figure.locator("figcaption").inner_text()
    index = int(re.findall(r"Sample (\d+)", caption)[0])
    pixels = _pixels(base64.b64decode(source.partition(",")[2]))
    expected, _ = load_data("mnist-sample").batch([index])
    assert torch.equal(pixels, (expected[0, 0] * 255).round().to(torch.uint8))
    distances = closest_distances(runs[0])
    assert float(re.findall(r"distance ([\d.]+)\.", caption)[0]) == pytest.approx(
        float(distances[distances > 0].min()), rel=1e-3
    )


def _pixels(png: bytes) -> torch.Tensor:
    import io

    import numpy as np
    from PIL import Image

    return torch.from_numpy(np.array(Image.open(io.BytesIO(png)).convert("L")))


def test_tabs_choose_the_run(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = found.page
        panels = page.get_by_role("tabpanel")
        assert page.get_by_role("tab").all_inner_texts() == list(NETWORKS)
        assert panels.count() == 1
        page.get_by_role("tab", name="mnist-cnn", exact=True).focus()
        for key, name in (
            ("ArrowRight", NETWORKS[1]),
            ("End", NETWORKS[2]),
            ("ArrowRight", NETWORKS[0]),
        ):
            page.keyboard.press(key)
            assert panels.count() == 1
            assert panels.get_attribute("aria-labelledby") == page.evaluate(
                "document.activeElement.id"
            )
            assert page.get_by_role("tab", selected=True).inner_text() == name


def test_a_printed_page_is_light_and_has_all_runs(browser: Browser, report: Path) -> None:
    with opened(browser, report, theme="dark") as found:
        found.page.emulate_media(media="print")
        color = "getComputedStyle(document.body).backgroundColor"
        assert found.page.evaluate(color) == "rgb(255, 255, 255)"
        for name in NETWORKS:
            assert found.page.locator(".panel > h3", has_text=re.compile(f"^{name}$")).is_visible()
        assert found.page.locator(".slides > figure:visible").count() == 3 * 6


def check_harmless(found: Opened) -> None:
    assert found.complaints == []
    assert [one for one in found.requests if not one.startswith(("data:", "file:"))] == []
    assert "hacked" not in found.page.title().replace(HOSTILE, "").replace(CLOSING, "")
    foreign = "[...document.querySelectorAll('script')].length"
    assert found.page.evaluate(foreign) == 3
    assert found.page.locator("img[onerror]").count() == 0


def test_hostile_names_stay_text(browser: Browser, hostile: Path) -> None:
    with opened(browser, hostile) as found:
        check_harmless(found)
        page = found.page
        assert page.title() == f"Title {HOSTILE}{CLOSING}"
        names = page.locator("#run-1-classes ~ .scroll tbody th").all_inner_texts()
        assert HOSTILE in names
        assert any(name.endswith(CLOSING) for name in names)
        attacks = page.locator(".choices .choice span").all_inner_texts()
        assert attacks[:3] == [f"a{HOSTILE}", f"b{CLOSING}", "{{ 7 * 7 }} <!-- <script>"]
        strip = page.get_by_role("listbox")
        strip.focus()
        for _ in range(8):
            page.keyboard.press("ArrowRight")
        check_harmless(found)


def test_the_policy_forbids_scripts_that_get_in(browser: Browser, single: Path) -> None:
    with opened(browser, single) as found:
        found.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "document.title = 'hacked'";
                document.body.append(script);
                document.body.insertAdjacentHTML(
                    "beforeend", "<img src='data:,' onerror=\\"document.title = 'hacked'\\">");
            }"""
        )
        found.page.wait_for_timeout(100)
        assert found.page.title() != "hacked"
        assert any("Content Security Policy" in one for one in found.complaints)


def test_the_attacks_of_a_run_have_the_accuracies_of_the_records(
    browser: Browser, report: Path, runs: list[LabeledRun]
) -> None:
    with opened(browser, report) as found:
        text = found.page.locator("#attacks table").first.inner_text()
    rows = [row for row in text.split("\n") if row]
    flat = " ".join(rows)
    for run in runs:
        for attack in ATTACKS:
            part: Any = of_attack(run.run.records, attack)
            assert f"{100 * accuracy_at(part, 1.0).value:.1f}" in flat


def test_runs_of_all_kinds_are_shown_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    together = [made_run(records, model=f"zoo:{kind}") for kind, records in RUNS.items()]
    alone = [[made_run(RUNS[kind])] for kind in ("no samples", "only failures", "two norms")]
    for number, made in enumerate([together, *alone]):
        path = tmp_path / f"{number}.html"
        write_report(label_runs(made), path)
        with opened(browser, path, width=390) as found:
            assert found.complaints == []
            assert found.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.fetch
def test_a_report_on_color_images_in_two_norms(browser: Browser, tmp_path: Path) -> None:
    fetch("cifar10")
    attacks = ["normal_pursuit(budget=10)", "fmn(steps=10, norm=linf)", "pgd(epsilon=2/255)"]
    evaluate("zoo:cifar10-cnn", "cifar10[:20]", attacks, out=tmp_path / "run", accelerate="off")
    path = tmp_path / "report.html"
    write_report(load_runs([tmp_path / "run"]), path)
    with opened(browser, path, audit=True) as found:
        assert found.page.locator(".plot svg").count() == 4
        assert found.page.locator(".slides > figure").count() > 10
        names = found.page.locator("#run-1-classes ~ .scroll tbody th").all_inner_texts()
        assert "airplane" in names
        assert found.complaints == []
        assert found.violations() == []
