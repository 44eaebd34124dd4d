#include "broken.cuh"
