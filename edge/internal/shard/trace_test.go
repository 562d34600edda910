package shard

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// A node that is not traced pays nothing.
func TestNoTraceNoAllocations(t *testing.T) {
	var none *Tracing
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"to":"a:/","hdr":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}`), &e); err != nil {
		t.Fatal(err)
	}
	h := nats.Header{tracectx.Header: {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	if got := testing.AllocsPerRun(1000, func() {
		_, span := none.frame(stats.InService, "a", "", &e, h)
		tracectx.End(span, nil)
		tracectx.End(none.delivery(none.of(h), stats.OutMailbox), nil)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestSenderTrace(t *testing.T) {
	const good = `"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	for headers, want := range map[string]bool{
		`{"traceparent":` + good + `}`:                 true,
		`{"x":1,"traceparent":` + good + `}`:           true,
		`{"traceparent":7}`:                            false,
		`{"traceparent":null}`:                         false,
		`{"traceparent":""}`:                           false,
		`{"traceparent":"00-0-0-01"}`:                  false,
		`"traceparent"`:                                false,
		`[]`:                                           false,
		`{"traceparent":{"traceparent":` + good + `}}`: false,
		`{"traceparent":` + good + `,"x":"` + strings.Repeat("x", 64<<10) + `"}`: false,
	} {
		var e umf.Envelope
		if err := umf.Scan([]byte(`{"to":"a:/","hdr":`+headers+`}`), &e); err != nil {
			t.Fatal(err)
		}
		if got := senderTrace(&e).IsValid(); got != want {
			t.Errorf("%.80s: %v", headers, got)
		}
	}
}
