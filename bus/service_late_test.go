package bus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
)

// TestServiceWithoutAConnection: what went wrong before is told again, and nothing
// panics.
func TestServiceWithoutAConnection(t *testing.T) {
	svc, err := NewService(nil, ServiceConfig{Name: "a"})
	if svc != nil || !errors.Is(err, ErrServiceConfig) || !strings.Contains(err.Error(), "Connect") {
		t.Fatal(svc, err)
	}
	for i, err := range []error{
		svc.Handle("t", echo), svc.HandleAny(echo), svc.HandleMethod("GET", "/", echo), svc.HandleWork(echo, WorkOptions{}),
		svc.HandleEvent(SessionOpened, func(context.Context, Event) {}), svc.Start(), svc.Run(natstest.Context(t)), svc.Stop(natstest.Context(t)),
	} {
		if !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%d: %v", i, err)
		}
	}
	nc := connect(t, natstest.Start(t).URL())
	nc.Close()
	if _, err := NewService(nc, ServiceConfig{Name: "a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("on a connection that is closed: %v", err)
	}
}

// lines are a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestServiceBeforeNATS: Run waits for a server that comes later, and says so; Start
// gives up in time, with the reason.
func TestServiceBeforeNATS(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	url := "nats://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	nc := connect(t, url, nats.RetryOnFailedConnect(true))
	log := new(lines)
	impatient, err1 := NewService(nc, ServiceConfig{Name: "echo", ReplyTimeout: 50 * time.Millisecond, Logger: quiet()})
	svc, err2 := NewService(nc, ServiceConfig{Name: "echo", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := impatient.Start(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("started without a server: %v", err)
	}
	if err := svc.HandleAny(echo); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(natstest.Context(t))
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	natstest.WaitFor(t, func() bool { return strings.Contains(log.String(), "waiting for NATS") })
	natstest.Run(t, &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	natstest.WaitFor(t, func() bool {
		_, err := nc.Request("umf.v1.svc.echo", []byte(`{"to":"echo:/","frm":"x:/","bdy":1}`), time.Second)
		return err == nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "waiting for NATS"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if said := log.String(); !strings.Contains(said, "servers="+url) || !strings.Contains(said, nats.ErrNoServers.Error()) {
		t.Errorf("where, and why, is not in %s", said)
	}
}

// TestRunEndsBeforeNATS: whoever ends Run while it waits gets it back.
func TestRunEndsBeforeNATS(t *testing.T) {
	nc := connect(t, "nats://127.0.0.1:1", nats.RetryOnFailedConnect(true))
	svc, err := NewService(nc, ServiceConfig{Name: "echo", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := svc.Run(ctx); err != nil {
		t.Error(err)
	}
}
