package jet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestPublishTimesOut: an acknowledgement that does not come ends the publish
// at AckTimeout, oldest first.
func TestPublishTimesOut(t *testing.T) {
	nc := connect(t)
	a, err := NewAcks(nc, 10, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	sub, err := nc.SubscribeSync("silent") // takes it, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan int, 3)
	for i := range 3 {
		err := a.Publish(&nats.Msg{Subject: "silent"}, func(_ uint64, err error) {
			if !errors.Is(err, ErrUnconfirmed) {
				t.Error(err)
			}
			order <- i
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if got := <-order; got != i {
			t.Errorf("publish %d timed out when %d was due", got, i)
		}
	}
	// An answer that comes too late is nobody's.
	m, err := sub.NextMsg(natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := a.Pending(); n != 0 {
		t.Errorf("%d pending", n)
	}
}

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		data string
		seq  uint64
		err  error
	}{
		{`{"stream":"UMF_OUT_1","seq":42}`, 42, nil},
		{`{"stream":"UMF_OUT_1", "seq":42,"duplicate": true}`, 42, nil},
		{`{"stream":"UMF_OUT_1","domain":"hub","seq":42}`, 42, nil},
		{`{"seq":42,"stream":"UMF_OUT_1"}`, 42, nil},
		{`{"stream":"S","seq":18446744073709551615}`, 1<<64 - 1, nil},
		{`{"stream":"S","seq": 7 }`, 7, nil},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"S","seq":0}`, 0, ErrFenced},
		{`{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"S"}`, 0, ErrBusy},
		{`{"stream":"S","seq":0,"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, 0, ErrRefused},
		{`{"error":{"code":503,"err_code":10008,"description":"unavailable"}}`, 0, ErrUnavailable},
		{`{"error":{"code":409,"err_code":10158,"description":"in process"}}`, 0, ErrUnconfirmed},
		{`{"stream":"S","seq":`, 0, ErrUnconfirmed},
		{`pong`, 0, ErrUnconfirmed},
		{`{}`, 0, ErrUnconfirmed},
		{``, 0, ErrUnconfirmed},
	} {
		seq, err := ParseAck(&nats.Msg{Data: []byte(c.data)})
		if seq != c.seq || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v", c.data, seq, err)
		}
		if c.err == ErrBusy && (errors.Is(err, ErrFenced) || errors.Is(err, ErrRefused) || !Temporary(err)) {
			t.Errorf("%s: what passes is taken for an answer", c.data)
		}
	}
	m := &nats.Msg{Header: nats.Header{"Status": {"503"}}}
	if _, err := ParseAck(m); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestMessageID(t *testing.T) {
	seen := make(map[string]string)
	for _, c := range [][4]string{
		{"s", "", "m"}, {"s", "a", "m"}, {"s", "", "a:m"}, {"s", "", "a m"}, {"s", "", "~m"}, {"s", "", ""},
		{"s", "", strings.Repeat("x", scheme.MaxMid)}, {"s", "", strings.Repeat("x", scheme.MaxMid+1)}, {"s", "", "\x7f"},
		{"s", "", "m", "c"}, {"s", "", "m", "d"}, {"s", "a", "m", "c"}, {"s", "", "m~c"}, {"s", "", "~m", "c"}, {"s", "", "~m~c"},
		{"s", "", strings.Repeat("x", scheme.MaxMid), "0123456789012345678901"},
	} {
		id := messageID(c[0], c[1], c[2], c[3])
		if other, dup := seen[id]; dup {
			t.Errorf("%q and %q: %q", c, other, id)
		}
		seen[id] = fmt.Sprint(c)
		if len(id) > 200 || strings.ContainsAny(id, " \r\n\x7f") {
			t.Errorf("%q", id)
		}
	}
}
