package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	dto "github.com/prometheus/client_model/go"
)

// turnTest is requests to a service that answers large ones when it is told to. Small
// ones it answers at once.
type turnTest struct {
	n      *fakeNode
	a      *API
	target string
	asked  atomic.Int64 // with large ones
	answer chan struct{}
	size   int // of what it answers, at least
}

// inTurns runs a test for each way to ask a service, with time that passes when all wait.
func inTurns(t *testing.T, run func(t *testing.T, s *turnTest)) {
	for _, target := range []string{"/v1/echo", prefix + "message"} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &turnTest{target: target, answer: make(chan struct{})}
				s.n, s.a = newGateway(t, func(n *fakeNode) {
					n.nats.services = func(m *nats.Msg) (*nats.Msg, error) {
						if len(m.Data) >= gateLarge {
							s.asked.Add(1)
							<-s.answer
						}
						return &nats.Msg{Data: []byte(`{"to":"x:/","frm":"echo:/","mid":"1","bdy":"` + long(s.size) + `"}`)}, nil
					}
				})
				s.a.gate.turns = make(chan struct{}, 1) // on every machine
				run(t, s)
			})
		})
	}
}

// begin sends a request with a body of that size, and returns when nothing goes on any
// more by itself.
func (s *turnTest) begin(ctx context.Context, w http.ResponseWriter, size int) {
	r := httptest.NewRequest("POST", s.target, strings.NewReader(`{"to":"echo:[POST]/v1/echo","frm":"x:/","bdy":"`+long(size)+`"}`))
	go s.a.Public().ServeHTTP(w, r.WithContext(ctx))
	synctest.Wait()
}

func (s *turnTest) see(t *testing.T, when string, asked int64, waiting float64) {
	t.Helper()
	var shown dto.Metric
	if err := s.n.Metrics.Bodies.Write(&shown); err != nil {
		t.Fatal(err)
	}
	if got, wait := s.asked.Load(), shown.GetGauge().GetValue(); got != asked || wait != waiting {
		t.Errorf("%s: the service has got %d large bodies, %v wait; want %d, %v", when, got, wait, asked, waiting)
	}
}

// slowClient takes an answer when it is told to.
type slowClient struct {
	*httptest.ResponseRecorder
	take chan struct{}
}

func (c *slowClient) Write(p []byte) (int, error) {
	<-c.take
	return c.ResponseRecorder.Write(p)
}

// TestLargeBodiesTakeTurns: a large body waits until the one before it is answered, and
// its client has that. A small one does not wait.
func TestLargeBodiesTakeTurns(t *testing.T) {
	inTurns(t, func(t *testing.T, s *turnTest) {
		first, last, small := &slowClient{httptest.NewRecorder(), make(chan struct{})}, httptest.NewRecorder(), httptest.NewRecorder()
		s.begin(t.Context(), first, gateLarge)
		s.begin(t.Context(), last, gateLarge)
		s.see(t, "two have come", 1, 1)
		if s.begin(t.Context(), small, 1); small.Code != http.StatusOK || small.Body.Len() == 0 {
			t.Errorf("a small one: %d %s", small.Code, small.Body)
		}
		close(s.answer)
		synctest.Wait()
		s.see(t, "the first is answered", 1, 1)
		close(first.take)
		synctest.Wait()
		s.see(t, "its client has that", 2, 0)
		if last.Body.Len() == 0 || len(s.a.gate.turns) != 0 {
			t.Errorf("the last one: %d %s; %d turns are left", last.Code, last.Body, len(s.a.gate.turns))
		}
	})
}

// TestTurnPasses: a service that takes its time, and a client that does, keep others
// waiting no longer than a body takes at gateRate.
func TestTurnPasses(t *testing.T) {
	inTurns(t, func(t *testing.T, s *turnTest) {
		const size, moment = gateRate / 64, time.Second / 64 // with its envelope a body is larger
		take := make(chan struct{})
		for range 2 {
			s.begin(t.Context(), &slowClient{httptest.NewRecorder(), take}, size)
		}
		time.Sleep(moment)
		synctest.Wait()
		s.see(t, "a moment before", 1, 1)
		time.Sleep(moment)
		synctest.Wait()
		s.see(t, "in time", 2, 0)

		s.size = size // so the answers wait for turns of their own
		close(s.answer)
		last := httptest.NewRecorder()
		s.begin(t.Context(), last, size)
		time.Sleep(4 * moment)
		if synctest.Wait(); last.Body.Len() == 0 {
			t.Error("clients that do not read keep others waiting")
		}
		close(take)
	})
}

// TestTurnRests: after a turn the node rests for a part of the time that it took, though
// not for long; after one that was given up it has rested.
func TestTurnRests(t *testing.T) {
	for took, rests := range map[time.Duration]time.Duration{3 * time.Millisecond: time.Millisecond, time.Second / 100: restMost, time.Second: 0} {
		inTurns(t, func(t *testing.T, s *turnTest) {
			const size = gateRate / 50 // a turn of 20 ms
			s.begin(t.Context(), httptest.NewRecorder(), size)
			s.begin(t.Context(), httptest.NewRecorder(), size)
			time.Sleep(took)
			s.answer <- struct{}{}
			synctest.Wait()
			if rests > 0 {
				s.see(t, "answered", 1, 1)
				time.Sleep(rests - 1)
				synctest.Wait()
				s.see(t, "before the end of the rest", 1, 1)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
			}
			s.see(t, "after the rest", 2, 0)
			close(s.answer)
		})
	}
}

// TestTurnDoesNotCome: a body is refused then, and an answer goes out all the same. Who
// has gone does not wait.
func TestTurnDoesNotCome(t *testing.T) {
	inTurns(t, func(t *testing.T, s *turnTest) {
		s.a.gate.turns <- struct{}{}
		s.size = gateLarge
		close(s.answer)
		large, small := httptest.NewRecorder(), httptest.NewRecorder()
		s.begin(t.Context(), large, gateLarge)
		s.begin(t.Context(), small, 1)
		gone, leave := context.WithCancel(t.Context())
		s.begin(gone, httptest.NewRecorder(), gateLarge)
		s.see(t, "all", 0, 3)
		leave()
		synctest.Wait()
		s.see(t, "without who has gone", 0, 2)
		time.Sleep(s.a.node.Config.RequestTimeout)
		synctest.Wait()
		if large.Code != http.StatusServiceUnavailable || large.Header().Get("Retry-After") != "1" {
			t.Errorf("a large body: %d %s", large.Code, large.Body)
		}
		if small.Code != http.StatusOK || small.Body.Len() < gateLarge {
			t.Errorf("a large answer: %d, %d bytes", small.Code, small.Body.Len())
		}
	})
}

// TestLargeAnswersTakeTurns: so they do where nothing large was asked.
func TestLargeAnswersTakeTurns(t *testing.T) {
	inTurns(t, func(t *testing.T, s *turnTest) {
		s.a.gate.turns <- struct{}{}
		s.size = gateLarge
		w := httptest.NewRecorder()
		s.begin(t.Context(), w, 1)
		s.see(t, "asked", 0, 1)
		<-s.a.gate.turns
		if synctest.Wait(); w.Code != http.StatusOK || w.Body.Len() < gateLarge {
			t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
		}
	})
}
