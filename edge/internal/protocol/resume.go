package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hydrant/umf"
)

// ErrNoID is returned by [ParseResume] where the body names no session.
var ErrNoID = errors.New("protocol: reconnect without an id")

// ErrSequence is returned where a sequence should be, and is none.
var ErrSequence = errors.New("protocol: not a sequence number")

// ErrAttempt is returned where the number of a connection should be, and is none.
var ErrAttempt = errors.New("protocol: not the number of an attempt")

// ErrOffer is returned where a subprotocol should name a session, and does not.
var ErrOffer = errors.New("protocol: not " + SubprotocolResume + "<id>.<token>.<attempt>, perhaps with .<seq>, or more than one")

// Resume is what a client asks for that comes back to a session.
type Resume struct {
	ID     string // of the session; it may be no id that a node ever made
	Token  string // "": none
	Seq    uint64 // the last one that the client has handled
	HasSeq bool   // it says so

	// Attempt grows with each connection that the client opens for the session; 0:
	// it does not say.
	Attempt uint64
}

// ParseResume reads the body of a reconnect message. Keys are read as
// JavaScript reads them: case matters, and the last of two equal ones counts.
// Errors are [ErrNoID], [ErrSequence] and [ErrAttempt].
func ParseResume(body []byte) (Resume, error) {
	id, _ := umf.MemberText(body, "id")
	if id == "" {
		return Resume{}, ErrNoID
	}
	token, _ := umf.MemberText(body, "token")
	r := Resume{ID: id, Token: token}
	if raw := umf.Member(body, "seq"); len(raw) > 0 && string(raw) != "null" {
		seq, err := parseNumber(raw)
		if err != nil {
			return r, err
		}
		r.Seq, r.HasSeq = seq, true
	}
	if raw := umf.Member(body, "attempt"); len(raw) > 0 && string(raw) != "null" {
		attempt, err := parseNumber(raw)
		if err != nil {
			return r, ErrAttempt
		}
		r.Attempt = attempt
	}
	return r, nil
}

// FindResume reads what a client asks for with its handshake, among the subprotocols
// that it offers; nil: nothing. The error is [ErrOffer], and has nothing of the offer
// in it, which is a secret.
func FindResume(offered []string) (*Resume, error) {
	var r *Resume
	for _, p := range offered {
		text, ok := strings.CutPrefix(p, SubprotocolResume)
		if !ok {
			continue
		}
		if r != nil {
			return nil, ErrOffer
		}
		if r = new(Resume); !r.parseOffer(strings.Split(text, ".")) {
			return nil, ErrOffer
		}
	}
	return r, nil
}

// parseOffer reads the parts of an offer, and reports whether it is one.
func (r *Resume) parseOffer(parts []string) bool {
	if len(parts) < 3 || len(parts) > 4 || parts[0] == "" || parts[1] == "" {
		return false
	}
	var err error
	r.ID, r.Token = parts[0], parts[1]
	if r.Attempt, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return false
	}
	if r.HasSeq = len(parts) == 4; r.HasSeq {
		r.Seq, err = strconv.ParseUint(parts[3], 10, 64)
	}
	return err == nil
}

// ParseSequence reads the body of an ack: all up to this sequence is confirmed.
// The error is [ErrSequence].
func ParseSequence(body []byte) (uint64, error) { return parseNumber(umf.Member(body, "seq")) }

// parseNumber reads a decimal string or a number.
func parseNumber(raw []byte) (uint64, error) {
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	seq, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, ErrSequence
	}
	return seq, nil
}

// Outcome is how a resume ended. The set is closed: its words are the values of
// a metric's label.
type Outcome uint8

const (
	Resumed        Outcome = iota // the connection has the session that it asked for
	ResumeExpired                 // there is no such session
	ResumeToken                   // the token is missing or wrong
	ResumeIdentity                // the session belongs to another identity
	ResumeLive                    // its client lives, and only the id was shown

	// A connection message tells the outcomes above. These close the connection,
	// with 4501 and 1013.

	ResumeLost   // another connection was faster
	ResumeFailed // the store did not answer

	numOutcomes
)

// NumOutcomes is the number of Outcome values.
const NumOutcomes = int(numOutcomes)

var outcomeWords = [numOutcomes]string{
	Resumed:        "ok",
	ResumeExpired:  "expired",
	ResumeToken:    "token",
	ResumeIdentity: "identity",
	ResumeLive:     "live",
	ResumeLost:     "lost",
	ResumeFailed:   "error",
}

// String returns the word that goes into metrics and, from ResumeExpired to
// ResumeLive, to the client.
func (o Outcome) String() string {
	if o < numOutcomes {
		return outcomeWords[o]
	}
	return fmt.Sprintf("outcome_%d", uint8(o))
}
