package jet

import (
	"strconv"
	"strings"
)

// Delivery is what the reply subject of a consumer's message tells.
type Delivery struct {
	consumer    string
	Seq         uint64 // in the stream
	ConsumerSeq uint64 // in the consumer
	Stored      int64  // Unix ns
}

// ParseDelivery reads $JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<cseq>.
// <stored>.<pending>, or the form with <domain>.<account hash> after ACK and
// perhaps one more token at the end.
func ParseDelivery(reply string) (d Delivery, ok bool) {
	const plain, domain = 9, 11
	var tok [domain + 2]string
	n := 0
	for rest, more := reply, true; more && n < len(tok); n++ {
		tok[n], rest, more = strings.Cut(rest, ".")
	}
	if n < plain || tok[0] != "$JS" || tok[1] != "ACK" {
		return d, false
	}
	at := 3
	if n >= domain {
		at = 5
	}
	var err1, err2, err3 error
	d.consumer = tok[at]
	d.Seq, err1 = strconv.ParseUint(tok[at+2], 10, 64)
	d.ConsumerSeq, err2 = strconv.ParseUint(tok[at+3], 10, 64)
	d.Stored, err3 = strconv.ParseInt(tok[at+4], 10, 64)
	return d, err1 == nil && err2 == nil && err3 == nil && d.Seq > 0 && d.ConsumerSeq > 0
}
