package protocol

import (
	"encoding/json"
	"testing"
)

// TestReserved: a reserved header is found however it is spelt, and the rest stays
// as it was sent.
func TestReserved(t *testing.T) {
	for headers, want := range map[string]struct {
		clients, all   bool
		without, lasts string
	}{
		``:                        {false, false, `{}`, `{}`},
		`{}`:                      {false, false, `{}`, `{}`},
		`[1]`:                     {false, false, `{}`, `{}`},
		`"x-from"`:                {false, false, `{}`, `{}`},
		` { "a" : [1, 2] ,"b":1}`: {false, false, `{"a":[1, 2],"b":1}`, `{"a":[1, 2],"b":1}`},
		`{"x-trace":1,"x-seqs":2,"y-seq":3,"x-fro":4,"":5}`:      {false, false, `{"x-trace":1,"x-seqs":2,"y-seq":3,"x-fro":4,"":5}`, `{"x-trace":1,"x-seqs":2,"y-seq":3,"x-fro":4,"":5}`},
		`{"x-from":1,"a":{"x-from":2}}`:                          {true, false, `{"a":{"x-from":2}}`, `{"x-from":1,"a":{"x-from":2}}`},
		`{"X-User":1,"\u0058-FROM":2}`:                           {true, false, `{}`, `{"X-User":1,"\u0058-FROM":2}`},
		`{"x-ſeq":1,"X-PREV":2,"x\u002dprev":3,"x-u\u017fer":4}`: {true, true, `{}`, `{"x-u\u017fer":4}`},
	} {
		if got := ReservedFromClients.In([]byte(headers)); got != want.clients {
			t.Errorf("%s: of clients: %t", headers, got)
		}
		if got := ReservedFromAll.In([]byte(headers)); got != want.all {
			t.Errorf("%s: of all: %t", headers, got)
		}
		if got := string(ReservedFromClients.AppendHeaders(nil, []byte(headers), nil)); got != want.without || !json.Valid([]byte(got)) {
			t.Errorf("%s: of clients: %s", headers, got)
		}
		if got := string(ReservedFromAll.AppendHeaders(nil, []byte(headers), nil)); got != want.lasts {
			t.Errorf("%s: of all: %s", headers, got)
		}
	}
	if got := string(ReservedFromClients.AppendHeaders(nil, []byte(`{"a":1,"x-from":2}`), AppendSender(nil, "S", `a"b`))); got != `{"a":1,"x-from":"S","x-user":"a\"b"}` {
		t.Error(got)
	}
}

// BenchmarkStamp is what a message from client to client costs more, so that its
// receiver knows who sent it.
func BenchmarkStamp(b *testing.B) {
	headers := []byte(`{"content-type":"text/plain","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`)
	sender := AppendSender(nil, "ezqmkq7kkcwzmz3nqpvt5yvbfu", "ann")
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = ReservedFromClients.AppendHeaders(buf[:0], headers, sender)
	}
}
