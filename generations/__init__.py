"""One request, from the hold on its credits to the posted image. Knows no Discord library."""
