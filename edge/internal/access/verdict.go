package access

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// Question is the body of a request to the authentication service.
type Question struct {
	IP     string `json:"ip"`
	Origin string `json:"origin"`
	Token  string `json:"token"`
	URL    string `json:"url"`
}

// Ask is the message that asks a service; question is a [Question] as JSON.
func Ask(service string, question []byte) protocol.Message {
	return protocol.Message{To: service + ":[POST]/v1/auth", Type: "auth", Body: question}
}

// Errors of [ReadVerdict], beside [ErrUnchecked]. A client learns nothing of the
// difference between these two.
var (
	// ErrRefused: the service says that the client may not connect.
	ErrRefused = errors.New("access: the authentication service refuses")
	// ErrVerdict: the answer does not say that the client may connect.
	ErrVerdict = errors.New("access: no verdict in the answer of the authentication service")
)

// Answer is what the authentication service said.
type Answer struct {
	Header map[string][]string // of the message over NATS
	Data   []byte              // all of it
	Body   []byte              // the part that counts: the body of a UMF message, the result of an answer over HTTP
}

// ReadVerdict reads an answer. The client is let in only by a yes in its body: an
// identity, which is text that a header can carry, or "anonymous":true. A no
// anywhere beats it: a header of NATS' service framework, a message of type error,
// a member error, an exp in the past, and a status, in a header or as a member, of
// which it is not certain that it is one of success. A rule set beside the body is
// none of the client's, and lets nobody in: it was to bind somebody. It fails with
// [ErrRefused], [ErrVerdict], or with [ErrUnchecked] if the service says that the
// fault is its own.
func ReadVerdict(a Answer, now time.Time) (Identity, error) {
	if err := a.refuses(); err != nil {
		return Identity{}, err
	}
	id := Identity{}
	switch name, there := umf.MemberText(a.Body, "identity"); {
	case there && carried(name):
		id.Name = name
	case there && name != "", !there && !absent(umf.Member(a.Body, "identity")):
		return Identity{}, ErrVerdict
	case string(umf.Member(a.Body, "anonymous")) != "true":
		return Identity{}, ErrVerdict
	}
	id.Rules = string(umf.Member(a.Body, "umf"))
	if exp := umf.Member(a.Body, "exp"); exp != nil {
		at, ok := moment(exp)
		switch {
		case !ok:
			return Identity{}, ErrVerdict
		case !at.After(now):
			return Identity{}, ErrRefused
		}
		id.Expires = at
	}
	return id, nil
}

// absent reports whether a member is not there, or null.
func absent(raw []byte) bool { return raw == nil || string(raw) == "null" }

// refuses finds a no, wherever it stands.
func (a *Answer) refuses() error {
	if refusal, there := protocol.ReadRefusal(a.Header); there {
		return refused(refusal.Status)
	}
	if status, there := headerStatus(a.Header); there && status/100 != 2 {
		return refused(status)
	}
	var e umf.Envelope
	if umf.Scan(a.Data, &e) != nil || umf.Scan(a.Body, &e) != nil {
		return ErrVerdict // one of them is no object
	}
	if umf.Member(a.Data, "umf") != nil {
		return ErrVerdict // not where the rules are looked for
	}
	for _, object := range [][]byte{a.Data, a.Body} {
		for _, key := range []string{"statusCode", "status"} {
			if raw := umf.Member(object, key); raw != nil {
				if status := statusOf(raw); status/100 != 2 {
					return refused(status)
				}
			}
		}
		if umf.Member(object, "error") != nil || isError(object) {
			return ErrRefused
		}
	}
	return nil
}

// headerStatus finds a status in the headers of an answer: the one that NATS' own first
// line has (ADR-4), or one of another name that ends in it. Of several the one counts
// that is no success; 0: one that is no number.
func headerStatus(header map[string][]string) (status int, there bool) {
	status = http.StatusOK
	for name, values := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "status" && !strings.HasSuffix(name, "-status") {
			continue
		}
		there = true
		for _, value := range values {
			if n := statusOf([]byte(strings.TrimSpace(value))); n/100 != 2 {
				status = n
			}
		}
		if len(values) == 0 {
			status = 0
		}
	}
	return status, there
}

// refused is the error of a status that is not one of success.
func refused(status int) error {
	if status == http.StatusTooManyRequests || status/100 == 5 {
		return ErrUnchecked
	}
	return ErrRefused
}

// statusOf reads a status as JSON; 0: it is none.
func statusOf(raw []byte) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 100 || n > 599 {
		return 0
	}
	return n
}

// isError reports whether an object is a message of type error.
func isError(object []byte) bool {
	for _, key := range []string{"typ", "type"} {
		if text, ok := umf.MemberText(object, key); ok && strings.EqualFold(text, protocol.TypeError) {
			return true
		}
	}
	return false
}
