package discovery

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"hydrant/bus"
	"hydrant/bus/internal/natstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// connect connects to a server for one test.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := bus.Connect(bus.Config{URL: url}, t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc
}

const testNode = "00112233445566778899aabbccddeeff"

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func echo(ctx context.Context, r *bus.Request) error { return r.Reply(ctx, r.Message.Body) }
