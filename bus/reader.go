package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// AnchorState says what became of the message that a reader's place in the
// mailbox rests on.
type AnchorState uint8

const (
	// AnchorUnchecked: no anchor was given.
	AnchorUnchecked AnchorState = iota
	// AnchorPresent: it is still there, so nothing after it was dropped.
	AnchorPresent
	// AnchorGone: it was dropped; what followed it may have been as well.
	AnchorGone
	// AnchorForeign: at its sequence is another mailbox's message, or the
	// stream ends before it: the log is not the one that the anchor is from.
	AnchorForeign
)

func (a AnchorState) String() string {
	switch a {
	case AnchorUnchecked:
		return "unchecked"
	case AnchorPresent:
		return "present"
	case AnchorGone:
		return "gone"
	case AnchorForeign:
		return "foreign"
	}
	return "AnchorState(" + strconv.Itoa(int(a)) + ")"
}

// Stored is a message of a mailbox as it was read back.
type Stored struct {
	Seq uint64
	// Mark: a marker, not for the client.
	Mark bool
	// TTL: see [Copy].
	TTL bool
	// Time at which the stream stored it, Unix ns; 0: unknown.
	Time int64
	// Payload belongs to the receiver and must not be modified.
	Payload []byte
}

// Batch is the answer of one Read.
type Batch struct {
	// Msgs are what follows in the mailbox from the given sequence, without
	// omission, in order. May be empty.
	Msgs []Stored
	// Anchor was asked of the stream's leader after Msgs were in hand.
	Anchor AnchorState
	// AnchorTime is when the message at the anchor was stored, if it is
	// present, Unix ns; 0: unknown. Another time than the one first seen means
	// another log.
	AnchorTime int64
	// Oldest is, where the anchor is not present, the first sequence of this
	// mailbox from the given one on according to the leader; 0: none.
	Oldest uint64
	// Next is, for an empty batch, the sequence of the first message from the
	// given one on, according to the leader; 0: the leader has none. A batch
	// that is empty although Next is not 0 came from a replica that lags: read
	// again. If Msgs is not empty, Next is the sequence after the last of them.
	Next uint64
	// Last is the last sequence of the stream according to its leader, where
	// that had to be asked: when the leader has nothing, or not the anchor.
	// Otherwise 0.
	Last uint64
}

// Errors of a Reader.
var (
	// ErrReaderClosed: Read after Close.
	ErrReaderClosed = errors.New("bus: reader closed")
)

const (
	// readerIdle is when the server removes the consumer of a reader that
	// ended without Close.
	readerIdle = 5 * time.Minute
	// pullSilence is how long a pull waits for the next message before the
	// consumer counts as gone.
	pullSilence = 3 * time.Second
	// maxAbsent is how often in a row a consumer may not be found.
	maxAbsent = 4
	// maxBatch bounds the messages of one Read.
	maxBatch = 1024
	// defaultBatchBytes bounds the bytes of one Read that gives no bound.
	defaultBatchBytes = 1 << 20
)

// Reader reads a session's mailbox from a sequence on: the session's
// reconnection queue, a durable consumer that carries the session's id and
// exists only between the first Read and Close. One goroutine at a time uses
// it.
type Reader struct {
	// Immutable after NewReader.
	store   *Store
	err     error // of the session id
	stream  string
	subject string
	sid     string
	fence   uint64

	// Owned by the caller of Read and Close.
	name   string // of the consumer that may exist on the server; empty: none
	broken bool   // it cannot be used any more
	next   uint64 // what the consumer delivers next, at least
	cseq   uint64 // consumer sequence of the last message
	absent int    // "no responders" in a row
	closed bool
}

// NewReader prepares a reader; it does no I/O. fence is the revision of the
// directory entry under which the caller owns the session: it keeps the
// consumers of a former owner and of this one apart. A malformed sid is
// reported by Read.
func (s *Store) NewReader(sid string, fence uint64) *Reader {
	r := &Reader{store: s, sid: sid, fence: fence}
	if r.subject, r.err = MailboxSubject(sid); r.err != nil {
		return r
	}
	r.stream, r.err = s.stream(sid)
	return r
}

// Read returns up to limit messages, of about maxBytes, from sequence from on
// (0 and 1 both mean the mailbox's start). As long as each Read goes on where
// the one before ended, one consumer serves them; otherwise it is made anew.
//
// When the messages are in hand, Read asks the stream's leader about the
// message at anchor (0: does not ask): its presence then proves that none was
// dropped in between. With limit 0 it asks that only. Temporary conditions (no leader, a consumer that is not
// reachable yet or was lost with its server) are retried until ctx ends.
func (r *Reader) Read(ctx context.Context, from, anchor uint64, limit, maxBytes int) (Batch, error) {
	switch {
	case r.err != nil:
		return Batch{}, r.err
	case r.closed:
		return Batch{}, ErrReaderClosed
	}
	from = max(from, 1)
	limit = min(max(limit, 0), maxBatch)
	if maxBytes <= 0 {
		maxBytes = defaultBatchBytes
	}
	ctx, cancel := r.store.bounded(ctx)
	defer cancel()

	var b Batch
	if limit == 0 {
		err := r.checkAnchor(ctx, from, anchor, &b)
		return b, err
	}
	err := retry(ctx, func(ctx context.Context) error {
		if err := r.position(ctx, from); err != nil {
			return err
		}
		var err error
		b.Msgs, err = r.pull(ctx, limit, maxBytes)
		return err
	})
	if err != nil {
		return Batch{}, err
	}
	if n := len(b.Msgs); n > 0 {
		b.Next = b.Msgs[n-1].Seq + 1
	} else if err := r.checkEnd(ctx, from, &b); err != nil {
		return Batch{}, err
	}
	if err := r.checkAnchor(ctx, from, anchor, &b); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// Close removes the consumer, if there is one. The reader cannot be used
// again. If Close fails, the server removes the consumer after five minutes.
func (r *Reader) Close(ctx context.Context) error {
	if r.closed || r.err != nil {
		return nil
	}
	r.closed = true
	if r.name == "" {
		return nil
	}
	ctx, cancel := r.store.bounded(ctx)
	defer cancel()
	return retry(ctx, r.remove)
}

// position makes sure that there is a consumer that delivers from next.
func (r *Reader) position(ctx context.Context, from uint64) error {
	if r.name != "" && !r.broken && r.next == from {
		return nil
	}
	if r.name != "" {
		if err := r.remove(ctx); err != nil {
			return err
		}
	}
	return r.create(ctx, from)
}

// consumerConfig is a pull consumer without acknowledgements on one mailbox.
type consumerConfig struct {
	Durable       string        `json:"durable_name"`
	Name          string        `json:"name"`
	DeliverPolicy string        `json:"deliver_policy"`
	OptStartSeq   uint64        `json:"opt_start_seq"`
	AckPolicy     string        `json:"ack_policy"`
	ReplayPolicy  string        `json:"replay_policy"`
	Filter        string        `json:"filter_subject"`
	MaxWaiting    int           `json:"max_waiting"`
	Inactive      time.Duration `json:"inactive_threshold"`
	Replicas      int           `json:"num_replicas"`
	Memory        bool          `json:"mem_storage"`
}

type consumerRequest struct {
	Stream string         `json:"stream_name"`
	Config consumerConfig `json:"config"`
	Action string         `json:"action"`
}

// create makes a consumer under a name that was never used before: late
// messages of another one cannot be taken for its own, and one that a former
// reader left behind cannot be taken for a new one.
func (r *Reader) create(ctx context.Context, from uint64) error {
	r.name = consumerName(r.sid, r.fence, r.store.readers.Add(1))
	r.broken, r.next, r.cseq, r.absent = true, from, 0, 0
	req := consumerRequest{
		Stream: r.stream,
		Action: "create",
		Config: consumerConfig{
			Durable: r.name, Name: r.name,
			DeliverPolicy: "by_start_sequence", OptStartSeq: from,
			AckPolicy: "none", ReplayPolicy: "instant",
			Filter: r.subject, MaxWaiting: 8,
			Inactive: readerIdle, Replicas: 1, Memory: true,
		},
	}
	subject := apiConsumerCreate + r.stream + "." + r.name + "." + r.subject
	if err := call(ctx, r.store.nc, subject, req, nil); err != nil {
		return err
	}
	r.broken = false
	return nil
}

// remove deletes the consumer on the server.
func (r *Reader) remove(ctx context.Context) error {
	err := ignoreNotFound(call(ctx, r.store.nc, apiConsumerDelete+r.stream+"."+r.name, nil, nil))
	if err == nil {
		r.name = ""
	}
	return err
}

// pull fetches what the consumer has, up to the bounds. If nothing fits in
// maxBytes, it fetches one message of any size.
func (r *Reader) pull(ctx context.Context, limit, maxBytes int) ([]Stored, error) {
	msgs, tooBig, err := r.pullOnce(ctx, limit, maxBytes)
	if err == nil && tooBig && len(msgs) == 0 {
		msgs, _, err = r.pullOnce(ctx, 1, 0)
	}
	return msgs, err
}

// pullOnce sends one pull request and collects its answer. Whatever it returns
// is contiguous; after anything unusual the consumer counts as broken, so that
// the next Read makes it anew where this one ended.
func (r *Reader) pullOnce(ctx context.Context, limit, maxBytes int) (msgs []Stored, tooBig bool, err error) {
	c, err := r.store.inbox.open(r.name, limit+1) // and the status at the end
	if err != nil {
		return nil, false, err
	}
	defer r.store.inbox.end(c)
	if err := r.request(c.reply, limit, maxBytes); err != nil {
		return nil, false, err
	}
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()
	for len(msgs) < limit {
		select {
		case m := <-c.msgs:
			if status := statusOf(m); status != "" {
				tooBig, err = r.pullStatus(status, m)
				return msgs, tooBig, keepWhatCame(msgs, err)
			}
			if !r.take(m, &msgs) {
				return msgs, false, keepWhatCame(msgs, fmt.Errorf("%w: %w: a message was lost on its way", ErrUnconfirmed, errPull))
			}
			silence.Reset(pullSilence)
			continue
		case err = <-c.lost:
		case <-silence.C:
			err = fmt.Errorf("%w: %w: no answer in %v", ErrUnconfirmed, errPull, pullSilence)
		case <-ctx.Done():
			err = requestError(ctx.Err())
		}
		r.broken = true
		return msgs, false, keepWhatCame(msgs, err)
	}
	return msgs, false, nil
}

// keepWhatCame drops an error that came after messages: they are good, and
// the next Read meets the error again if it lasts.
func keepWhatCame(msgs []Stored, err error) error {
	if len(msgs) > 0 {
		return nil
	}
	return err
}

// request publishes a pull request.
func (r *Reader) request(reply string, limit, maxBytes int) error {
	b := make([]byte, 0, 64)
	b = append(b, `{"batch":`...)
	b = strconv.AppendInt(b, int64(limit), 10)
	if maxBytes > 0 {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, int64(maxBytes), 10)
	}
	b = append(b, `,"no_wait":true}`...)
	return sendError(r.store.nc.PublishRequest(apiConsumerNext+r.stream+"."+r.name, reply, b))
}

// pullStatus handles the end of a pull: 404 is the end of what the consumer's
// server has; 409 is a size limit or the end of the consumer; 503 means that
// the consumer is not there (yet).
func (r *Reader) pullStatus(status string, m *nats.Msg) (tooBig bool, err error) {
	why := one(m.Header, "Description")
	switch {
	case status == "404" || status == "408":
		return false, nil
	case status == "409" && strings.Contains(why, "MaxBytes"):
		return true, nil
	}
	// A consumer that was just made may not be reachable from here yet. One
	// that stays away is gone: only a new one is sure to answer.
	r.absent++
	r.broken = status != "503" || r.absent > maxAbsent
	return false, fmt.Errorf("%w: %w: %s %s", ErrUnavailable, errPull, status, why)
}

// take appends a message of the consumer. It refuses one that does not follow
// the last: consumer sequences are dense, so one was lost on its way here.
func (r *Reader) take(m *nats.Msg, msgs *[]Stored) bool {
	_, seq, cseq, stored, ok := parseAckReply(m.Reply)
	if !ok || cseq != r.cseq+1 {
		r.broken = true
		return false
	}
	r.cseq, r.absent = cseq, 0
	if seq < r.next {
		return true // a server that clamped the start; the caller has it
	}
	r.next = seq + 1
	*msgs = append(*msgs, Stored{
		Seq:     seq,
		Mark:    markOf(m.Header) != 0,
		TTL:     one(m.Header, headerTTL) != "",
		Time:    stored,
		Payload: m.Data,
	})
	return true
}

// parseAckReply reads consumer name, stream sequence, consumer sequence and the
// time of storing (Unix ns) from the reply subject of a consumer's message: $JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.
// <time>.<pending>, or the newer form with two or three more tokens
// ($JS.ACK.<domain>.<account>.… and a random last one).
func parseAckReply(reply string) (name string, sseq, cseq uint64, stored int64, ok bool) {
	const v1, v2 = 9, 11
	var tok [13]string
	n := 0
	for rest := reply; n < len(tok); {
		t, tail, more := strings.Cut(rest, ".")
		tok[n] = t
		n++
		if !more {
			break
		}
		rest = tail
	}
	if n < v1 || tok[0] != "$JS" || tok[1] != "ACK" {
		return "", 0, 0, 0, false
	}
	at := 5
	if n >= v2 {
		at = 7
	}
	sseq, err1 := strconv.ParseUint(tok[at], 10, 64)
	cseq, err2 := strconv.ParseUint(tok[at+1], 10, 64)
	stored, err3 := strconv.ParseInt(tok[at+2], 10, 64)
	return tok[at-2], sseq, cseq, stored, err1 == nil && err2 == nil && err3 == nil && sseq > 0 && cseq > 0
}

// checkEnd asks the leader whether an empty batch really is the end.
func (r *Reader) checkEnd(ctx context.Context, from uint64, b *Batch) error {
	m, found, err := leaderGet(ctx, r.store.nc, r.stream, getRequest{Seq: from, NextFor: r.subject})
	if err != nil {
		return err
	}
	if found {
		b.Next = m.Seq
		return nil
	}
	return r.askLast(ctx, b)
}

// checkAnchor asks the leader about the message at anchor. A sequence beyond
// the stream's end is not one that was dropped: the log went back.
func (r *Reader) checkAnchor(ctx context.Context, from, anchor uint64, b *Batch) error {
	if anchor == 0 {
		return nil
	}
	m, found, err := leaderGet(ctx, r.store.nc, r.stream, getRequest{Seq: anchor})
	switch {
	case err != nil:
		return err
	case found && m.Subject == r.subject:
		b.Anchor, b.AnchorTime = AnchorPresent, m.Time.UnixNano()
		return nil
	case found:
		b.Anchor = AnchorForeign
		return r.askOldest(ctx, from, b)
	}
	if err := r.askLast(ctx, b); err != nil {
		return err
	}
	b.Anchor = AnchorGone
	if anchor > b.Last {
		b.Anchor = AnchorForeign
	}
	return r.askOldest(ctx, from, b)
}

// askOldest fills in b.Oldest.
func (r *Reader) askOldest(ctx context.Context, from uint64, b *Batch) error {
	m, _, err := leaderGet(ctx, r.store.nc, r.stream, getRequest{Seq: from, NextFor: r.subject})
	b.Oldest = m.Seq
	return err
}

// askLast fills in b.Last.
func (r *Reader) askLast(ctx context.Context, b *Batch) error {
	if b.Last != 0 {
		return nil
	}
	st, err := leaderState(ctx, r.store.nc, r.stream)
	b.Last = st.LastSeq
	return err
}
