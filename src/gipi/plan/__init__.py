"""What a training will need, before anything is rented: memory, time and cost, from the net's own step and a data sheet."""
