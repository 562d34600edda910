package jet

import (
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"hydrant/bus/internal/natstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// connect connects to a server for one test.
func connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(natstest.Start(t).URL(), append(opts, nats.Timeout(natstest.Patience))...)
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc
}
