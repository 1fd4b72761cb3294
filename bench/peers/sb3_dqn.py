"""The yardstick of learning to play: Stable-Baselines3's DQN at Pong, how many decisions a second it takes while it learns.

python bench/peers/sb3_dqn.py [--seconds 60] [--envs 8] [--vec dummy] [--threads 2]

Everything is SB3's own: its Atari environment (OpenCV scales the frames), its stack of 4 frames, its replay, its net, which is
the Nature paper's. The hyper-parameters are those of gipi's run beside it: batches of 32, an update for every 4 decisions, Adam
with 1e-4, a replay of 100,000, the target net copied every 10,000 decisions, rewards clipped, gradients clipped at a norm of 10.
SB3 counts in steps of all environments: one step of 8 is followed by 2 updates, and with one environment 4 steps by 1 update.

Epsilon stays at its last value, for random decisions need no net. The clock starts after the random decisions and a tenth of the
time with learning. Prints a line of JSON; needs stable-baselines3, ale-py and opencv-python-headless.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise

import stable_baselines3
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack

GAME = "ale_py:PongNoFrameskip-v4"  # the module by name, for a process of an environment imports it by itself
BATCH, EVERY, RATE, REPLAY, TARGET, EPSILON = 32, 4, 1e-4, 100_000, 10_000, 0.05
WARMUP = 1_000  # random decisions
WINDOWS = 5
VECS: dict[str, type[DummyVecEnv] | type[SubprocVecEnv]] = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


class Stopwatch(BaseCallback):
    """Ends the training after `seconds` with learning and a tenth more, which does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.span, self.waits = seconds / WINDOWS, seconds / 10
        self.marks: list[tuple[float, int, int]] = []  # time, decisions, updates

    def _on_step(self) -> bool:
        updates = self.model._n_updates
        if not updates:
            return True
        now = time.perf_counter()
        if not self.marks or now - self.marks[-1][0] >= (self.waits if len(self.marks) == 1 else self.span):
            self.marks.append((now, self.num_timesteps, updates))
        return len(self.marks) < WINDOWS + 2

    def rates(self, part: int) -> list[float]:
        """Of each window, a second: decisions (part 1) or updates (part 2)."""
        return [(end[part] - begin[part]) / (end[0] - begin[0]) for begin, end in pairwise(self.marks[1:])]


def learner(env: VecEnv, count: int) -> DQN:
    if max(count, EVERY) % min(count, EVERY):
        raise SystemExit(f"{count} environments do not come out even with an update for every {EVERY} decisions")
    return DQN(
        "CnnPolicy",
        env,
        learning_rate=RATE,
        buffer_size=REPLAY,
        learning_starts=WARMUP,
        batch_size=BATCH,
        train_freq=max(1, EVERY // count),
        gradient_steps=max(1, count // EVERY),
        target_update_interval=TARGET,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        seed=0,
        device="cpu",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of learning that count")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument("--vec", choices=VECS, default="dummy", help="environments in turn, or each in a process of its own")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    env = VecFrameStack(make_atari_env(GAME, asked.envs, seed=0, vec_env_cls=VECS[asked.vec]), 4)
    model, watch = learner(env, asked.envs), Stopwatch(asked.seconds)
    model.learn(1_000_000_000, watch)
    env.close()
    result = {
        "name": f"Stable-Baselines3 {stable_baselines3.__version__}",
        "setting": f"{asked.envs} x {asked.vec}, {asked.threads} threads",
        "decisions_per_s": watch.rates(1),
        "updates_per_s": watch.rates(2),
        "decisions": model.num_timesteps,
        "weights": sum(weight.numel() for weight in model.q_net.parameters()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
