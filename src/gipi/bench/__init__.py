"""Speed, measured on this machine, each answer with what makes it believable.

ladder.ladder     the ways to train one net, from plain NumPy up, each with its accuracy
step.step         the engine's training step against its bound: the same layers timed alone
data.data         the images that a training is fed
predict.predict   latency and images/s of a model
scale.scale       one training by more and more processes

Nothing is imported here: each measurement runs in a process of its own, which starts with as little as it can.
"""
