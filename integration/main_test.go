package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// long asks for the full figures of the rows that say a thousand of something,
// or a minute.
var long = flag.Bool("long", os.Getenv("HYDRANT_LONG") != "", "run the long forms of the tests that have one")

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for processes far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	fmt.Printf("HYDRANT_SEED=%d\n", harness.Seed())
	code := m.Run()
	complaints := world.CloseShared()
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

// lasting holds a fault for a while, in a long run: as long as its row says. In
// a plain run it is over at once.
type lasting struct {
	end  time.Time
	tick *time.Ticker
}

func lasts(t *testing.T, full time.Duration) *lasting {
	tick := time.NewTicker(100 * time.Millisecond)
	t.Cleanup(tick.Stop)
	return &lasting{time.Now().Add(time.Duration(scaled(0, int(full)))), tick}
}

// more waits for the next tenth of a second, if the fault goes on until then.
func (l *lasting) more() bool {
	if time.Now().After(l.end) {
		return false
	}
	<-l.tick.C
	return true
}

// object is a message to send.
type object = harness.Object

// message is one that came.
type message = harness.Message

var errNobody = errors.New("nobody got it")
