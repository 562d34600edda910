package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/umf"
)

// TestBuffersAreUsedAgain: a large body takes no memory that the one before it has had.
func TestBuffersAreUsedAgain(t *testing.T) {
	_, a := newGateway(t, func(n *fakeNode) {
		n.nats.services = func(*nats.Msg) (*nats.Msg, error) {
			return &nats.Msg{Data: []byte(`{"to":"x:/","frm":"echo:/","mid":"1","bdy":1}`)}, nil
		}
	})
	const size, times = 512 << 10, 64
	body := bytes.Repeat([]byte("x"), size)
	ask := func() {
		w := httptest.NewRecorder()
		a.Public().ServeHTTP(w, httptest.NewRequest("POST", "/v1/echo", bytes.NewReader(body)))
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	ask()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		ask()
	}
	runtime.ReadMemStats(&after)
	limit := uint64(size)
	if raceEnabled {
		limit *= 2 // a quarter of the buffers is lost, which is about one size for each body
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > limit {
		t.Errorf("%d bytes are allocated for each body of %d", each, size)
	}
}

// TestBuffersAreNotShared: of many large bodies at once each reaches the service as it was,
// whatever its length says.
func TestBuffersAreNotShared(t *testing.T) {
	t.Parallel()
	_, a := newGateway(t, func(n *fakeNode) {
		n.nats.services = func(m *nats.Msg) (*nats.Msg, error) {
			var e umf.Envelope
			if err := umf.Scan(m.Data, &e); err != nil {
				return nil, err
			}
			text := e.Raw(umf.Body)
			body, err := base64.StdEncoding.DecodeString(string(text[1 : len(text)-1]))
			return &nats.Msg{Header: nats.Header{"Umf-Status": {"200"}}, Data: body}, err
		}
	})
	var work sync.WaitGroup
	for i := range 16 {
		work.Go(func() {
			for round := range 8 {
				body := bytes.Repeat(fmt.Append(nil, i, " ", round, ";"), gateLarge/4+i*1000)
				r := httptest.NewRequest("POST", "/v1/echo", bytes.NewReader(body))
				if round%2 == 1 {
					r.ContentLength = -1
				}
				w := httptest.NewRecorder()
				a.Public().ServeHTTP(w, r)
				if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), body) {
					t.Errorf("%d bytes come back as %d: %d", len(body), w.Body.Len(), w.Code)
				}
			}
		})
	}
	work.Wait()
}
