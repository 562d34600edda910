package bus

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// large is more than the servers of these tests take.
var large = strings.Repeat("x", 200<<10)

// question is a request for the service big.
const question = `{"to":"big:[GET]/p","frm":"x@client:/","mid":"a","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":1}`

// ask sends a request to the service big, and returns the code of the error that
// comes back.
func ask(t *testing.T, url string) (code string, err error) {
	t.Helper()
	nc := connect(t, url)
	m, err := nc.RequestWithContext(natstest.Context(t), scheme.ServiceSubject("big"), []byte(question))
	if err != nil {
		return "", err
	}
	var answer struct {
		Body Failure `json:"bdy"`
	}
	err = json.Unmarshal(m.Data, &answer)
	return answer.Body.Code, err
}

// big runs a service whose answers are large, and returns what ends with Run.
func big(t *testing.T, url string) (ended chan error, stop func()) {
	t.Helper()
	s, err := NewService(connect(t, url), ServiceConfig{Name: "big", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.HandleAny(func(ctx context.Context, r *Request) error { return r.Reply(ctx, large) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.started
	return ended, cancel
}

// TestAnswerTooLarge: an answer over NATS' limit is refused, the sender is told, and
// the service goes on.
func TestAnswerTooLarge(t *testing.T) {
	ns := natstest.StartServer(t, server.Options{MaxPayload: 64 << 10})
	ended, stop := big(t, ns.ClientURL())
	for range 2 {
		if code, err := ask(t, ns.ClientURL()); err != nil || code != "too_large" {
			t.Errorf("answered with the code %q, %v", code, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run returns %v", err)
	}
}

// TestRunEndsWithItsConnection: when nats.go gives the connection up, as for an answer
// over a limit that was lowered meanwhile, Run returns and says why.
func TestRunEndsWithItsConnection(t *testing.T) {
	o := server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 1 << 20}
	ns := natstest.Run(t, &o)
	ended, stop := big(t, ns.ClientURL())
	defer stop()
	lower := server.Options{Host: o.Host, Port: ns.Addr().(*net.TCPAddr).Port, NoSigs: true, NoLog: true, MaxPayload: 64 << 10}
	if err := ns.ReloadOptions(&lower); err != nil {
		t.Fatal(err)
	}
	nc := connect(t, ns.ClientURL())
	if err := nc.PublishRequest(scheme.ServiceSubject("big"), nc.NewInbox(), []byte(question)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrConnection) || !strings.Contains(err.Error(), "Maximum Payload Violation") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Run returns %v", err)
	}
}
