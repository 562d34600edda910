package protocol

import (
	"strconv"
	"strings"

	"hydrant/umf"
)

// Refusal is how a service of NATS' service framework says no: in headers, and
// often with nothing else.
type Refusal struct {
	Code   string // the service's own word, CodeService if it has none
	Text   string
	Status int // of HTTP, from 400 on; 0: it has none
}

// Headers of a refusal (NATS ADR-32, "Error Handling").
const (
	refusalHeader     = "Nats-Service-Error"
	refusalCodeHeader = "Nats-Service-Error-Code"
)

// badGateway is the status of a refusal that has none.
const badGateway = 502

// maxRefusalText bounds what of a service's code goes to a client (bytes).
const maxRefusalText = 64

// ReadRefusal finds a refusal in the headers of an answer. A header that is there
// counts, whatever its case, and also an empty one or a code without a text.
func ReadRefusal(header map[string][]string) (r Refusal, there bool) {
	for name, values := range header {
		text := ""
		if len(values) > 0 {
			text = values[0]
		}
		switch name = strings.TrimSpace(name); { // some write a blank before the colon
		case strings.EqualFold(name, refusalHeader):
			r.Text, there = Quote([]byte(text)), true
		case strings.EqualFold(name, refusalCodeHeader):
			r.Code, there = Quote([]byte(text[:min(len(text), maxRefusalText)])), true
		}
	}
	if !there {
		return Refusal{}, false
	}
	if n, err := strconv.Atoi(r.Code); err == nil && n >= 400 && n <= 599 {
		r.Status = n
	}
	if r.Code == "" {
		r.Code = CodeService.String()
	}
	if r.Text == "" {
		r.Text = "The service refuses"
	}
	return r, true
}

// HTTP returns the status that an answer over HTTP has for it.
func (r *Refusal) HTTP() int {
	if r.Status == 0 {
		return badGateway
	}
	return r.Status
}

// AppendError appends the body of the error that a refusal is to a client of
// umf.v1 or umf.ack.v1.
func (r *Refusal) AppendError(dst []byte) []byte { return r.appendAs(dst, "error") }

// AppendReason appends the body of the answer that a refusal is to other clients,
// which know a reason from [AppendNoInstances].
func (r *Refusal) AppendReason(dst []byte) []byte { return r.appendAs(dst, "reason") }

func (r *Refusal) appendAs(dst []byte, key string) []byte {
	dst = umf.AppendString(append(append(append(dst, `{"`...), key...), `":`...), r.Text)
	dst = umf.AppendString(append(dst, `,"code":`...), r.Code)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(r.HTTP()), 10)
	return append(dst, '}')
}
