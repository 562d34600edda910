package edge

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Those that are parallel wait for elections and for time to pass, and compute little.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	// A NATS server that is shut down while a peer has it make a stream may leave that
	// stream's store behind.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}
