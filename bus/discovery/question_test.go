package discovery

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestDiscoveryLate: who has answered before is waited for, a second at the most, and so
// is listed although the others have answered and paused. Who is new is not, nor twice who
// has gone.
func TestDiscoveryLate(t *testing.T) {
	for name, test := range map[string]struct {
		before []string
		at     map[string]time.Duration // when who answers
		want   int
		took   time.Duration
	}{
		"nobody is known":       {nil, map[string]time.Duration{"a": 0, "b": discoveryQuiet / 2}, 2, discoveryQuiet + discoveryQuiet/2},
		"a new one is late":     {[]string{"a"}, map[string]time.Duration{"a": 0, "b": 5 * discoveryQuiet}, 1, discoveryQuiet},
		"a known one is late":   {[]string{"a", "b"}, map[string]time.Duration{"a": 0, "b": 5 * discoveryQuiet}, 2, 6 * discoveryQuiet},
		"a known one has gone":  {[]string{"a", "b"}, map[string]time.Duration{"a": 0}, 1, discoveryMost},
		"the other one is late": {[]string{"b"}, map[string]time.Duration{"a": 0, "b": discoveryMost - discoveryQuiet/2}, 2, discoveryMost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := make(chan *nats.Msg, len(test.at))
				for id, at := range test.at {
					time.AfterFunc(at, func() {
						answers <- &nats.Msg{Data: fmt.Appendf(nil, `{"name":"s","id":%q,"endpoints":[{"subject":"umf.v1.svc.s"}]}`, id)}
					})
				}
				next := func(wait time.Duration) (*nats.Msg, error) {
					select {
					case m := <-answers:
						return m, nil
					case <-time.After(wait):
						return nil, nats.ErrTimeout
					}
				}
				q := &New(nil).info
				for i, id := range test.before {
					test.before[i] = q.key(&Instance{Service: "s", NATS: id})
				}
				begun := time.Now()
				list, cut, err := q.collect(next, test.before)
				if took := time.Since(begun); len(list) != test.want || took != test.took || cut || err != nil {
					t.Errorf("%d instances after %v, cut %v, %v; want %d after %v", len(list), took, cut, err, test.want, test.took)
				}
				time.Sleep(discoveryMost) // those that are late come to nobody
			})
		})
	}
}

// TestDiscoverySilence: that those who are known do not answer proves nothing, unless the
// server says that nobody is there.
func TestDiscoverySilence(t *testing.T) {
	q := &New(nil).info
	for _, said := range []error{nats.ErrTimeout, nats.ErrNoResponders} {
		_, _, err := q.collect(func(time.Duration) (*nats.Msg, error) { return nil, said }, []string{"s.a"})
		if silent := errors.Is(said, nats.ErrTimeout); (err != nil) != silent {
			t.Errorf("%v: %v", said, err)
		}
	}
}
