package chaos

import (
	"errors"
	"fmt"
	"io"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// Config says what is run. Zero values mean the defaults.
type Config struct {
	Duration time.Duration // of the faults; default 20 s
	Seed     uint64
	Servers  int // NATS servers, 1 or 3
	Nodes    int // default 4; node 0 is the calm one
	Clients  int // default 300, a third of each class, beside the calm ones
	Queue    int // bound of a mailbox; default: one that is never reached
	Tails    Tails
	Rate     int // messages a second of all publishers together; default 1000

	Network  bool   // servers and nodes in network namespaces; for a process that is isolated (harness.Isolate)
	Sync     bool   // the servers sync every write to their disks; with Network
	Clocks   bool   // the nodes are built so that their clocks can be set; with Network
	Scenario string // play this one of Scenarios instead of faults at random

	measure func(*schedule) error // instead of faults at random
	raw     bool                  // no managed clients: their pauses are not what is measured
	binary  func(node int) string // of the nodes; nil: that of the harness

	History io.Writer                        // one JSON object a line
	Log     func(format string, args ...any) // what is being done; nil: nobody is told
}

// Tails says what nodes keep for sessions that they have parked.
type Tails string

const (
	AllTails   Tails = ""      // as nodes do by themselves
	ShortTails Tails = "short" // little, and for a moment
	NoTails    Tails = "off"
)

// ErrTails: there is no such choice.
var ErrTails = errors.New("chaos: tails are short, off, or as nodes have them")

// env is how nodes are told.
func (t Tails) env() (map[string]string, error) {
	switch t {
	case AllTails:
		return nil, nil
	case ShortTails:
		return map[string]string{"EDGE_LINGER": "1s", "EDGE_LINGER_BYTES": "64KiB"}, nil
	case NoTails:
		return map[string]string{"EDGE_LINGER": "0s"}, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrTails, string(t))
}

// calmClients is how many clients stay on the node that nobody harms: some of each class.
const calmClients = 6

// lateComers are clients that begin while a fault lasts, in a run with a network.
const lateComers = 60

// storeDisk is the file system of each server's store, in a run with a network: a
// run stores much less.
const storeDisk = 256 << 20

// roomyQueue never overflows, so that a gap is a loss.
const roomyQueue = 100_000

// drainPatience is how long everything may take to drain. It ends a run that
// would hang; a run that needs it is broken (L).
const drainPatience = 3 * harness.Patience

// settlePatience is for what clients had on its way to other clients when the
// faults ended: a node gives it up sooner.
const settlePatience = harness.Patience

// bounds are what a node must stay within (I6), if all clients are on it. At
// rest it has 30 to 40 MiB and a hundred descriptors.
func bounds(clients int) *history.Bounds {
	return &history.Bounds{RSS: 300 << 20, Descriptors: 400 + 3*clients, Goroutines: 2300}
}

func (c *Config) defaults() {
	set := func(v *int, value int) {
		if *v == 0 {
			*v = value
		}
	}
	set(&c.Servers, 1)
	set(&c.Nodes, 4)
	if c.Scenario != "" { // which does not need a crowd
		set(&c.Clients, 60)
		set(&c.Rate, 200)
	}
	set(&c.Clients, 300)
	set(&c.Rate, 1000)
	if c.Queue == 0 {
		c.Queue = roomyQueue
	}
	if c.Duration == 0 {
		c.Duration = 20 * time.Second
	}
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
}
