"""Devices as values: equal to their names, and usable as keys beside them."""

import minigrad


def test_equal_to_its_name():
    cpu, second = minigrad.device("cpu"), minigrad.device("cuda", 1)
    assert cpu == "cpu" and second == "cuda:1" and second == minigrad.device("cuda:1")
    assert cpu != "cuda" and second != "cuda" and cpu != "" and cpu != "a:b" and cpu != 0


def test_a_key_beside_its_name():
    assert {"cpu": 1, "cuda:1": 2}[minigrad.device("cuda:1")] == 2
    assert {minigrad.device("cpu"): 1}["cpu"] == 1
