"""Stands in for visdom, which adv-lib imports and does not need here."""
