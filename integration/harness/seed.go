package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"
)

// Seed is the number that this run's random choices come from: HYDRANT_SEED,
// or a new one at each start. TestMain prints it.
var Seed = sync.OnceValue(func() uint64 {
	if text := os.Getenv("HYDRANT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("harness: HYDRANT_SEED=%q is not a number", text))
		}
		return seed
	}
	return uint64(time.Now().UnixNano())
})

// Rand returns a source of its own for each purpose, so that one test's
// choices do not depend on which others ran before it.
func Rand(purpose string) *rand.Rand {
	h := Seed()
	for _, c := range []byte(purpose) { // FNV-1a
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(Seed(), h))
}

// portSource is never seeded: two runs with the same seed may run side by
// side. Guarded by taken.
var portSource = rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano())))
