"""Snake: random and clever games against a simulator that knows a list of cells only, and laws of every frame."""

from collections import Counter

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_render_passive_checker

from gipi.envs.snake import BODY, FOOD, HEAD, PATIENCE, START, Snake
from gipi.errors import ConfigError

UP, RIGHT, DOWN, LEFT = range(4)


def find(frame, grey):
    return [(int(row), int(column)) for row, column in np.argwhere(frame[0] == grey)]


def ahead(cell, way):
    row, column = cell
    return {UP: (row - 1, column), RIGHT: (row, column + 1), DOWN: (row + 1, column), LEFT: (row, column - 1)}[way]


class Simple:
    """The rules once more: `cells` from head to tail, `food` is told."""

    def __init__(self, size, food):
        middle = size // 2
        self.size, self.food, self.way, self.waited = size, food, RIGHT, 0
        self.cells = [(middle, middle), (middle, middle - 1), (middle, middle - 2)]

    def step(self, way):
        """reward, terminated, truncated, and what happened."""
        if ahead(self.cells[0], way) == self.cells[1]:
            way = self.way
        self.way = way
        to = ahead(self.cells[0], way)
        if min(to) < 0 or max(to) >= self.size:
            return -1, True, False, "wall"
        grows = to == self.food
        kept = self.cells if grows else self.cells[:-1]
        if to in kept:
            return -1, True, False, "body"
        happened = "food" if grows else "tail" if to == self.cells[-1] else "way"
        self.cells = [to, *kept]
        self.waited = 0 if grows else self.waited + 1
        full = len(self.cells) == self.size**2
        return float(grows), full, self.waited == 100, "full" if full else happened

    def frame(self, food):
        frame = np.zeros((1, self.size, self.size), np.uint8)
        for cell in self.cells:
            frame[0][cell] = 100
        frame[0][self.cells[0]] = 180
        for cell in food:
            frame[0][cell] = 255
        return frame


def compared(game, seed, choose):
    """Plays a game by `choose(simple)`, each step compared with the simple rules. What happened, food eaten, the last answer."""
    frame, info = game.reset(seed=seed)
    (food,) = find(frame, FOOD)
    simple, happened, eaten, end = Simple(game.size, food), Counter(), 0, (0.0, False, False)
    while True:
        assert info == {}
        food = find(frame, FOOD)
        assert np.array_equal(frame, simple.frame(food))  # so food is on no cell of the body
        assert len(food) == (len(simple.cells) < game.size**2)
        assert len(find(frame, BODY)) + 1 == START + eaten
        if any(end[1:]):
            return happened, eaten, end
        simple.food = food[0]
        action = choose(simple)
        before = frame
        frame, reward, terminated, truncated, info = game.step(action)
        *end, what = simple.step(int(action))
        assert (reward, terminated, truncated) == tuple(end)
        assert type(reward) is float
        if what in ("wall", "body"):
            assert np.array_equal(frame, before)
        if what not in ("food", "full"):
            assert find(frame, FOOD) == food
        happened[what] += 1
        eaten += reward == 1


def greedy(rng, chance):
    """Towards the food, or by chance anywhere."""

    def choose(simple):
        (row, column), (to, across) = simple.cells[0], simple.food
        if rng.random() < chance:
            return rng.integers(4)
        ways = [
            way for way, wanted in ((UP, to < row), (DOWN, to > row), (LEFT, across < column), (RIGHT, across > column)) if wanted
        ]
        return ways[rng.integers(len(ways))]

    return choose


def around(simple):
    """A round trip through all cells of a board with an even number of rows: down the first column, back in rows."""
    (row, column), last = simple.cells[0], simple.size - 1
    if column == 0:
        return DOWN if row < last else RIGHT
    if row % 2:  # from left to right, from the bottom up
        return RIGHT if column < last else UP
    if column > 1 or row == 0:
        return LEFT
    return UP


@pytest.mark.parametrize("size", [10, 11, 16])
def test_every_step_is_the_one_of_the_simple_rules(size):
    rng, game, happened = np.random.default_rng(size), Snake(size), Counter()
    for seed in range(60):
        chance = (0.02, 0.1, 1.0)[seed % 3]
        happened += compared(game, seed, greedy(rng, chance))[0]
    assert min(happened[what] for what in ("wall", "body", "food", "way")) > 3


def test_a_trip_through_all_cells_fills_the_board_and_wins():
    happened, eaten, end = compared(Snake(10), 0, around)
    assert eaten == 100 - START
    assert end == [1.0, True, False]
    assert happened["full"] == 1
    assert happened["wall"] == happened["body"] == 0


def test_the_cell_that_the_tail_leaves_is_free():
    """In a ring of 4 cells a snake of 4 follows its own tail for ever, until time is out."""
    rng, ways, reached = np.random.default_rng(0), (DOWN, LEFT, UP, RIGHT), 0
    for seed in range(20):
        towards = greedy(rng, 0)
        happened, eaten, end = compared(
            Snake(), seed, lambda s, go=towards: ways[(ways.index(s.way) + 1) % 4] if len(s.cells) == 4 else go(s)
        )
        if eaten == 1 and end == [0.0, False, True]:
            assert happened["tail"] >= PATIENCE - 4
            reached += 1
    assert reached > 10


def test_time_is_out_after_100_steps_without_food_which_is_no_end_of_the_task():
    game = Snake(42)
    seed = next(seed for seed in range(9) if find(game.reset(seed=seed)[0], FOOD)[0][0] < 20)
    game.reset(seed=seed)
    ways = [DOWN, LEFT, UP, RIGHT]
    for step in range(1, PATIENCE + 1):
        _, reward, terminated, truncated, _ = game.step(ways[step % 4])
        assert (reward, terminated, truncated) == (0.0, False, step == PATIENCE)
    with pytest.raises(ConfigError, match="snake: no game is going on; call reset before the next step"):
        game.step(UP)


def test_straight_back_goes_straight_on():
    game, twin = Snake(), Snake()
    game.reset(seed=0)
    twin.reset(seed=0)
    for way, instead in ((LEFT, RIGHT), (UP, UP), (DOWN, UP), (LEFT, LEFT), (RIGHT, LEFT), (DOWN, DOWN), (UP, DOWN)):
        got, wanted = game.step(way), twin.step(instead)
        assert np.array_equal(got[0], wanted[0])
        assert got[1:] == wanted[1:]


def test_a_game_is_a_function_of_seed_and_actions():
    game, twin, firsts = Snake(), Snake(), set()
    for seed in range(20):
        actions = np.random.default_rng(seed).integers(4, size=60)
        one, two = game.reset(seed=seed), twin.reset(seed=seed)
        firsts.add(one[0].tobytes())
        assert np.array_equal(one[0], two[0])
        for action in actions:
            one, two = game.step(action), twin.step(int(action))
            assert np.array_equal(one[0], two[0])
            assert one[1:] == two[1:]
            if one[2]:
                break
    assert len(firsts) > 15


def test_food_lies_on_every_empty_cell_as_often():
    size, count, game = 10, 4_850, Snake(10)
    game.reset(seed=0)
    counts = Counter(find(game.reset()[0], FOOD)[0] for _ in range(count))
    assert len(counts) == size**2 - START
    wanted = count / len(counts)
    assert max(abs(got - wanted) for got in counts.values()) < 5 * wanted**0.5


def test_frames_given_away_stay_as_they_were_and_do_not_touch_the_game():
    game, twin = Snake(), Snake()
    frame, wanted = game.reset(seed=4)[0], twin.reset(seed=4)[0]
    for action in (UP, UP, LEFT, DOWN, LEFT):
        frame[:] = 7
        kept, (frame, *_), (wanted, *_) = frame, game.step(action), twin.step(action)
        assert (kept == 7).all()
        assert np.array_equal(frame, wanted)


@pytest.mark.parametrize("size", [10, 12, 42])
def test_gymnasium_finds_nothing_to_say(size):
    check_env(Snake(size), skip_render_check=True)  # of a game that is not registered, it warns that it cannot make another
    env_render_passive_checker(Snake(size))


def test_names():
    assert Snake.ACTIONS == ("up", "right", "down", "left")
    assert Snake().observation_space.shape == (1, 12, 12)


def test_what_is_asked_wrongly_is_said():
    with pytest.raises(ConfigError, match="snake is played on 10 to 42 cells a side, got size 43"):
        Snake(43)
    game = Snake()
    with pytest.raises(ConfigError, match="snake: no game is going on"):
        game.step(UP)
    game.reset(seed=0)
    for action in (4, -1):
        with pytest.raises(ConfigError, match=rf"^snake has no action {action} \(allowed: 0 up, 1 right, 2 down, 3 left\)$"):
            game.step(action)


@pytest.mark.parametrize(("size", "side"), [(10, 320), (12, 312), (16, 320), (42, 336)])
def test_a_picture_shows_food_head_and_body_apart(size, side):
    game = Snake(size)
    frame, _ = game.reset(seed=0)
    picture = game.render()
    assert picture.shape == (side, side, 3)
    assert np.array_equal(picture, game.render())
    half = side // size // 2
    middles = picture[half :: 2 * half, half :: 2 * half].astype(int)
    ground = middles[0, 0] if frame[0, 0, 0] == 0 else middles[0, 2]
    colours = [ground, *(middles[find(frame, grey)[0]] for grey in (BODY, HEAD, FOOD))]
    for number, one in enumerate(colours):
        for other in colours[:number]:
            assert np.abs(one - other).max() > 50


def test_a_picture_before_the_first_game_is_the_empty_board():
    assert len(np.unique(Snake().render().reshape(-1, 3), axis=0)) == 2
