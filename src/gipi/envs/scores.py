"""What a random player, a person and the first DQN score in Atari games, as published: what a score is held against.

Returns, unclipped, summed over an episode that begins with up to 30 steps of doing nothing, games under the names of ale-py's
ROMs. Random and human: Wang et al., "Dueling Network Architectures for Deep Reinforcement Learning", arXiv 1511.06581, the table
of no-op starts, as DQN Zoo lists its 57 games. DQN: Mnih et al., "Human-level control through deep reinforcement learning",
Nature 518, 2015, Extended Data Table 2, of 49 of them. That table's own person scored otherwise (9.3 in Pong, not 14.6), so
its percentages are not those of `normalised`. All were measured without sticky actions.
"""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """Mean returns of a player that acts at random and of a professional tester of games."""

    random: float
    human: float


def reference(rom: str) -> Reference | None:
    """Of a game by the name of its ROM, "ms_pacman"; None if nothing is published here."""
    return REFERENCE.get(rom)


def normalised(score: float, reference: Reference) -> float:
    """A mean return on the scale on which the random player has 0 and the human 1."""
    return (score - reference.random) / (reference.human - reference.random)


_TABLE: dict[str, tuple[float, float, float | None]] = {  # random, human, DQN
    "alien": (227.8, 7127.7, 3069.0),
    "amidar": (5.8, 1719.5, 739.5),
    "assault": (222.4, 742.0, 3359.0),
    "asterix": (210.0, 8503.3, 6012.0),
    "asteroids": (719.1, 47388.7, 1629.0),
    "atlantis": (12850.0, 29028.1, 85641.0),
    "bank_heist": (14.2, 753.1, 429.7),
    "battle_zone": (2360.0, 37187.5, 26300.0),
    "beam_rider": (363.9, 16926.5, 6846.0),
    "berzerk": (123.7, 2630.4, None),
    "bowling": (23.1, 160.7, 42.4),
    "boxing": (0.1, 12.1, 71.8),
    "breakout": (1.7, 30.5, 401.2),
    "centipede": (2090.9, 12017.0, 8309.0),
    "chopper_command": (811.0, 7387.8, 6687.0),
    "crazy_climber": (10780.5, 35829.4, 114103.0),
    "defender": (2874.5, 18688.9, None),
    "demon_attack": (152.1, 1971.0, 9711.0),
    "double_dunk": (-18.6, -16.4, -18.1),
    "enduro": (0.0, 860.5, 301.8),
    "fishing_derby": (-91.7, -38.7, -0.8),
    "freeway": (0.0, 29.6, 30.3),
    "frostbite": (65.2, 4334.7, 328.3),
    "gopher": (257.6, 2412.5, 8520.0),
    "gravitar": (173.0, 3351.4, 306.7),
    "hero": (1027.0, 30826.4, 19950.0),
    "ice_hockey": (-11.2, 0.9, -1.6),
    "jamesbond": (29.0, 302.8, 576.7),
    "kangaroo": (52.0, 3035.0, 6740.0),
    "krull": (1598.0, 2665.5, 3805.0),
    "kung_fu_master": (258.5, 22736.3, 23270.0),
    "montezuma_revenge": (0.0, 4753.3, 0.0),
    "ms_pacman": (307.3, 6951.6, 2311.0),
    "name_this_game": (2292.3, 8049.0, 7257.0),
    "phoenix": (761.4, 7242.6, None),
    "pitfall": (-229.4, 6463.7, None),
    "pong": (-20.7, 14.6, 18.9),
    "private_eye": (24.9, 69571.3, 1788.0),
    "qbert": (163.9, 13455.0, 10596.0),
    "riverraid": (1338.5, 17118.0, 8316.0),
    "road_runner": (11.5, 7845.0, 18257.0),
    "robotank": (2.2, 11.9, 51.6),
    "seaquest": (68.4, 42054.7, 5286.0),
    "skiing": (-17098.1, -4336.9, None),
    "solaris": (1236.3, 12326.7, None),
    "space_invaders": (148.0, 1668.7, 1976.0),
    "star_gunner": (664.0, 10250.0, 57997.0),
    "surround": (-10.0, 6.5, None),
    "tennis": (-23.8, -8.3, -2.5),
    "time_pilot": (3568.0, 5229.2, 5947.0),
    "tutankham": (11.4, 167.6, 186.7),
    "up_n_down": (533.4, 11693.2, 8456.0),
    "venture": (0.0, 1187.5, 380.0),
    "video_pinball": (16256.9, 17667.9, 42684.0),
    "wizard_of_wor": (563.5, 4756.5, 3393.0),
    "yars_revenge": (3092.9, 54576.9, None),
    "zaxxon": (32.5, 9173.3, 4977.0),
}
REFERENCE = {rom: Reference(random, human) for rom, (random, human, _) in _TABLE.items()}
NATURE = {rom: dqn for rom, (_, _, dqn) in _TABLE.items() if dqn is not None}
