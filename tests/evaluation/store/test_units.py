"""Units: their names, and the identity that their files have."""

import hashlib
import json
from typing import Any

from evaluation.small_runs import TWO_ATTACKS, configuration
from minnorm.doubts import Doubt
from minnorm.evaluation.store.manifest import Manifest
from minnorm.evaluation.store.units import Unit, identity

MANIFEST = Manifest(
    run="abc", configuration=configuration(attacks=TWO_ATTACKS), doubts=(), sessions=()
)


def test_a_unit_has_a_name_that_sorts() -> None:
    assert Unit(12, 1).name == "000012-01"
    assert sorted([Unit(10, 0).name, Unit(9, 11).name]) == ["000009-11", "000010-00"]


def test_the_identity_of_a_unit_names_the_run_its_configuration_the_batch_and_the_attack() -> None:
    def changed(**changes: object) -> Manifest:
        return MANIFEST.model_copy(update=changes)

    others = [
        identity(MANIFEST, Unit(1, 0)),
        identity(MANIFEST, Unit(0, 1)),
        identity(changed(run="def"), Unit(0, 0)),
        identity(changed(configuration=configuration(seed=1)), Unit(0, 0)),
    ]
    own = identity(MANIFEST, Unit(0, 0))
    assert len({own, *others}) == 5
    # Attacks may be added, and sessions and warnings change.
    assert identity(changed(configuration=configuration()), Unit(0, 0)) == own
    assert (
        identity(changed(doubts=(Doubt("nan", "doubtful"),), sessions=({"ranks": 2},)), Unit(0, 0))
        == own
    )


def test_runs_of_earlier_versions_lack_what_was_added_and_keep_their_identity() -> None:
    content: list[Any] = ["abc", MANIFEST.configuration.model_dump(mode="json"), 0]
    configuration_before = content[1]
    attacks = configuration_before.pop("attacks")
    assert configuration_before.pop("model_code") is None
    expected = hashlib.sha256(json.dumps([*content, attacks[0]], sort_keys=True).encode())
    assert identity(MANIFEST, Unit(0, 0)) == expected.hexdigest()
    known = MANIFEST.model_copy(
        update={"configuration": configuration(attacks=TWO_ATTACKS, model_code="a" * 16)}
    )
    assert identity(known, Unit(0, 0)) != expected.hexdigest()
