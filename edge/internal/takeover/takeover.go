// Package takeover is how one node asks another for a session: what is sent, and
// what is remembered of the answers. Which socket has a session is decided by
// package ownership.
//
// A node that wants a session which is live elsewhere sends a [Request] to
// umf.v1.node.<that node>:
//
//	{"v":1,"do":"release","sid":"…","fence":"…"}    fence: the holder id that it has read in the entry
//	{"found":true,"floor":…,"floor_time":…,"seen":…,"seen_time":…}   how far delivery got
//
// A claimant that shows nothing but the session's id says so (bare), and gets the
// session only if the holder's client is silent. The holder answers at once that it
// asks its client. Then the claimant's node asks once more (wait), and is answered when
// that is known:
//
//	{…,"bare":true}              {"found":true,"asking":true}
//	{…,"bare":true,"wait":true}  {"found":true,"live":true}, or as above
//
// The node that has parked a session listens for it for a while, and is asked for what has
// come since, after a sequence and as far as another. One that hands a session over which
// lacks nothing does so too, and says it ("tail":true):
//
//	{"v":1,"do":"tail","sid":"…","fence":"…","from":"…","to":"…"}
//
// Its answer is a part of a tail (package tail).
//
// A request has the number of its form (v). To one of a higher form than it knows a node
// says which one it knows, and does nothing else: the claimant asks again in that form.
// So nodes of two versions serve beside each other, at the price of a second question.
// What is added to requests and answers within a form is for those that know it, and the
// others pass it over.
//
//	{"v":2,…}   {"v":1,"found":false,…}
//
// A request's reply subject is an inbox of nodes: all else that comes to a node's
// subject, as what a server was made to deliver there, is no request.
//
// The request is for one holder, so that a late one for a former holder does not
// end its successor. It comes to the loops twice: as a request, to be answered,
// and in its place among the live copies, because what was stored after the session
// has gone elsewhere comes behind it, and must not be written any more.
package takeover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/ownership"
)

// Key names one holder of one session.
type Key struct {
	SID    scheme.SID
	Holder uint64
}

// Request asks a node to hand a session over.
type Request struct {
	Form   int        `json:"v"`  // from 1 to requestForm
	Do     string     `json:"do"` // release, tail
	SID    scheme.SID `json:"sid,omitempty"`
	Holder uint64     `json:"fence,string,omitempty"`
	// Attempt is the number of the claimant's socket; 0: its client does not say.
	Attempt uint64 `json:"attempt,omitempty"`
	// Bare: the claimant shows nothing but the session's id. Wait: it is asked for the
	// second time, and waits until it is known whether the holder's client lives.
	Bare bool `json:"bare,omitempty"`
	Wait bool `json:"wait,omitempty"`
	// From and To, of a tail: what was stored after the one, as far as the other.
	From uint64 `json:"from,string,omitempty"`
	To   uint64 `json:"to,string,omitempty"`
}

// What requests ask for.
const (
	doHandOver = "release"
	doTail     = "tail"
)

// requestForm is the number of the highest form of requests that this code knows.
const requestForm = 1

// Errors of requests.
var (
	// ErrRequest: what came is no request that this node knows.
	ErrRequest = errors.New("takeover: not a request")
	// ErrNewerRequest: a newer version has sent it, in a form that this node does not
	// know. It is to be told so: see [Unread].
	ErrNewerRequest = errors.New("takeover: a request of a newer form")
)

// Unread is the answer to what is [ErrNewerRequest].
var Unread = Answer{Form: requestForm}

// NewRequest asks for a session.
func NewRequest(k Key, attempt uint64) Request {
	return Request{Form: requestForm, Do: doHandOver, SID: k.SID, Holder: k.Holder, Attempt: attempt}
}

// NewTailRequest asks for the tail of a session that k has parked.
func NewTailRequest(k Key, from, to uint64) Request {
	return Request{Form: requestForm, Do: doTail, SID: k.SID, Holder: k.Holder, From: from, To: to}
}

// IsTail reports whether a request is for a tail, and not for the session.
func (r *Request) IsTail() bool { return r.Do == doTail }

// LooksLikeTail reports whether a request is for a tail, before it is read: its answer
// has no place among what else comes to a loop.
func LooksLikeTail(data []byte) bool { return bytes.HasPrefix(data, tailPrefix) }

var tailPrefix = []byte(`{"v":1,"do":"tail"`)

// ParseRequest reads a request that wants its answer at reply. The error is
// [ErrRequest] or [ErrNewerRequest].
func ParseRequest(reply string, data []byte) (Request, error) {
	var r Request
	if !scheme.IsNodeInbox(reply) {
		return r, fmt.Errorf("%w: answers do not go to a node", ErrRequest)
	}
	var newer struct { // whose other fields may be of other types
		Form int `json:"v"`
	}
	if json.Unmarshal(data, &newer) == nil && newer.Form > requestForm {
		return r, ErrNewerRequest
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if r.Form < 1 || r.Do != doHandOver && r.Do != doTail {
		return r, ErrRequest
	}
	return r, nil
}

// Key names the holder that the request is for.
func (r *Request) Key() Key { return Key{r.SID, r.Holder} }

// Answer says what came of a request. Found is false where no loop of the node
// knows the holder.
type Answer struct {
	// Form is that of the requests that the node knows, where it does not know the one
	// that came; else 0.
	Form  int  `json:"v,omitempty"`
	Found bool `json:"found"`
	scheme.Position
	// Declined: the holder is the newer socket of the same client.
	Declined bool `json:"declined,omitempty"`
	// Asking: the holder asks its client, and Live: which lives. The holder keeps the
	// session.
	Asking bool `json:"asking,omitempty"`
	Live   bool `json:"live,omitempty"`
	// Tail: the node keeps what comes for the session from then on, as if it had parked it.
	Tail bool `json:"tail,omitempty"`
}

// Append appends the answer as JSON.
func (a Answer) Append(dst []byte) []byte {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // of numbers and booleans
	}
	return append(dst, text...)
}

// Requester asks for one answer. A [nats.Conn] is one.
type Requester interface {
	RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error)
}

// ClientPatience is how long a node waits for the word whether a client lives, when it
// is being asked: longer than that takes.
const ClientPatience = 3 * time.Second

// Ask sends a request to a node and waits for its answer, at most
// [ownership.Patience], and [ClientPatience] more if the holder asks its client. It
// fails only by its result: [ownership.Nobody] and [ownership.Silence] are what a claim
// has to reckon with. err says why there was silence, for the log.
func Ask(ctx context.Context, nc Requester, node scheme.NodeID, r Request) (reply ownership.Reply, given Answer, err error) {
	got, err := ask(ctx, nc, node, r, ownership.Patience)
	if err == nil && got.Form > 0 && got.Form < r.Form {
		r.Form = got.Form
		got, err = ask(ctx, nc, node, r, ownership.Patience)
	}
	if err == nil && got.Form != 0 {
		err = fmt.Errorf("%w, to a node of form %d", ErrRequest, got.Form) // it has not said what it has
	}
	if err == nil && got.Asking {
		r.Wait = true
		got, err = ask(ctx, nc, node, r, ClientPatience)
	}
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return ownership.Nobody, given, nil
	case err != nil:
		return ownership.Silence, given, err
	}
	if reply = got.Reply(); reply == ownership.Given {
		given = got
	}
	return reply, given, nil
}

// ask is one request and its answer.
func ask(ctx context.Context, nc Requester, node scheme.NodeID, r Request, patience time.Duration) (got Answer, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return got, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, scheme.NodeSubject(node), text)
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal(msg.Data, &got)
}

// Reply is what an answer means to a claim. That the holder still asks its client is
// no answer when that should be known.
func (a Answer) Reply() ownership.Reply {
	switch {
	case a.Declined:
		return ownership.Declined
	case a.Live, a.Asking:
		return ownership.Live
	case !a.Found:
		return ownership.Stranger
	}
	return ownership.Given
}

// Bounds of what a loop remembers of the sessions that it has given away.
const (
	givenFor = 5 * time.Second // much longer than a claim waits for an answer
	givenMax = 4096
)

// Given is what a loop has answered lately. Each request comes to it twice, and an
// answer may be lost. For one goroutine.
type Given struct {
	full    func() // called for each answer that goes for a new one
	answers map[Key]Answer
	order   []givenAt // oldest first
}

type givenAt struct {
	key Key
	at  time.Time
}

// NewGiven returns an empty memory.
func NewGiven(full func()) Given { return Given{full: full, answers: make(map[Key]Answer)} }

// Put remembers an answer.
func (g *Given) Put(k Key, a Answer, now time.Time) {
	for len(g.order) > 0 && (len(g.order) >= givenMax || now.Sub(g.order[0].at) > givenFor) {
		if now.Sub(g.order[0].at) <= givenFor {
			g.full()
		}
		delete(g.answers, g.order[0].key)
		g.order = g.order[1:]
	}
	if _, known := g.answers[k]; !known {
		g.order = append(g.order, givenAt{k, now})
	}
	g.answers[k] = a
}

// Get returns the answer that was given, or that the holder is not known.
func (g *Given) Get(k Key) Answer { return g.answers[k] }
