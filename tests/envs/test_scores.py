"""Published scores: figures that other papers repeat, the scale's laws, names that the emulator knows."""

import math

import pytest

from gipi.envs.scores import NATURE, REFERENCE, Reference, normalised, reference


def test_tables_hold_the_games_that_were_published():
    assert (len(REFERENCE), len(NATURE)) == (57, 49)
    never = {"berzerk", "defender", "phoenix", "pitfall", "skiing", "solaris", "surround", "yars_revenge"}
    assert set(REFERENCE) - set(NATURE) == never
    roms = pytest.importorskip("ale_py.roms")
    assert set(REFERENCE) <= set(roms.get_all_rom_ids())


def test_random_players_are_below_people():
    assert all(random < human for random, human in REFERENCE.values())


def test_the_scale_has_the_random_player_at_0_and_the_human_at_1():
    for of in REFERENCE.values():
        assert normalised(of.random, of) == 0
        assert normalised(of.human, of) == 1
        middle = (of.random + of.human) / 2
        assert normalised(middle, of) == pytest.approx(0.5)


def test_pong_and_breakout():
    assert reference("pong") == (-20.7, 14.6)
    assert reference("breakout") == (1.7, 30.5)
    assert normalised(NATURE["pong"], REFERENCE["pong"]) == pytest.approx(39.6 / 35.3)
    assert normalised(NATURE["breakout"], REFERENCE["breakout"]) == pytest.approx(399.5 / 28.8)


@pytest.mark.parametrize(
    ("rom", "human", "percent"),
    [
        ("video_pinball", 17297.6, 2539),
        ("boxing", 4.3, 1707),
        ("breakout", 31.8, 1327),
        ("road_runner", 7845.0, 232),
        ("gopher", 2321.0, 400),
        ("krull", 2394.6, 277),
        ("pong", 9.3, 132),
        ("space_invaders", 1652.3, 121),
        ("enduro", 309.6, 97),
        ("qbert", 13455.0, 78),
        ("riverraid", 13513.3, 57),
        ("seaquest", 20181.8, 25),
        ("ms_pacman", 15693.4, 13),
        ("montezuma_revenge", 4366.7, 0),
    ],
)
def test_percentages_of_a_human_printed_in_2015_come_out(rom, human, percent):
    """Mnih et al., figure 3, rounded down, with the human column of their own table: checks the random and the DQN column."""
    assert math.floor(100 * normalised(NATURE[rom], Reference(REFERENCE[rom].random, human)) + 1e-9) == percent


def test_a_game_without_published_scores_has_none():
    assert reference("tetris") is None
    assert reference("Pong") is None
