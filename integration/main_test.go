package integration

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
)

// long asks for the full counts of the rows that say a thousand of something.
var long = flag.Bool("long", os.Getenv("HYDRANT_LONG") != "", "run the long forms of the session tests")

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for processes far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	fmt.Printf("HYDRANT_SEED=%d\n", harness.Seed())
	code := m.Run()
	complaints := closeShared()
	complaints = append(complaints, harness.Shutdown()...)
	if err := goleak.Find(harness.IgnoreSpawner()); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, complaint := range complaints {
		fmt.Println("after all tests:", complaint)
		code = max(code, 1)
	}
	os.Exit(code)
}

// scaled picks the count for a plain run or for a long one.
func scaled(plain, full int) int {
	if *long {
		return full
	}
	return plain
}
