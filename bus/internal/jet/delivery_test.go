package jet

import (
	"strings"
	"testing"
)

func TestParseDelivery(t *testing.T) {
	for _, c := range []struct {
		reply string
		want  Delivery
		ok    bool
	}{
		{"$JS.ACK.UMF_OUT_0.c_1_1.1.42.7.1700000000000000000.3", Delivery{"c_1_1", 42, 7, 1700000000000000000}, true},
		{"$JS.ACK.hub.ACCHASH.UMF_OUT_0.c_1_1.1.42.7.17.3", Delivery{"c_1_1", 42, 7, 17}, true},
		{"$JS.ACK._.ACCHASH.UMF_OUT_0.c_1_1.1.42.7.17.3.rnd", Delivery{"c_1_1", 42, 7, 17}, true},
		{"", Delivery{}, false},
		{"_INBOX.a.b", Delivery{}, false},
		{"$JS.ACK.S.c.1.0.7.17.3", Delivery{}, false},
		{"$JS.ACK.S.c.1.x.7.17.3", Delivery{}, false},
		{"$JS.FC.S.c.1.42.7.17.3", Delivery{}, false},
		{strings.Repeat(".", 100), Delivery{}, false},
	} {
		got, ok := ParseDelivery(c.reply)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v", c.reply, got, ok)
		}
	}
}
