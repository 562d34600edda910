// Package check judges a history of package history by the invariants, which
// package integration explains. It knows nothing of how the run was made.
//
//	I1  nothing accepted is lost silently: it was delivered, or a gap covers it
//	I2  first deliveries of a session are in mailbox order
//	I3  x-prev chains; every break has its gap
//	I4  a repeat has the same mid and seq, and only after a resume
//	I5  one owner: what was sent after a takeover is not written by the old one
//	I6  memory, descriptors and goroutines stay within the run's bounds
//	I7  clients on a node that nobody harmed keep their sockets
//	I8  nobody receives another session's message
//	L   after the faults are over, everything drains
//
// and by four promises about what clients are told:
//
//	expired   no session that lives is told expired, and no sender that it is unknown
//	repeated  a client that said what it had gets nothing again
//	4501      a socket is told that another one has its session only if there is one:
//	          where the client numbers its sockets, one of a higher number
//	failed    a sender that was told a failure, but for timeout, finds nothing stored
//
// and by what a program is promised that uses edge/client:
//
//	I1, I2, I8  hold for what it is given, on whatever connections that came; so do gaps
//	            and what is told of stores that go back
//	I3–I5       hold for what comes over its connections; over none of them comes again what
//	            the client had said that it has (repeated)
//	repeated    it is given nothing twice, nor is the next program, which goes on with the
//	            session that this one kept
//	told        each message that it hands over and each request has one outcome; failed
//	            holds for it, unless the outcome is that nobody knows
//	4501        as above, by the numbers that the client gives its connections; and it is
//	            over for a program only if another one has gone on with its session
//
// and by what must not need anybody's patience:
//
//	slow      when the servers store again, nodes are ready and work is done within
//	          [Promptly]
//
// A run is also judged itself: each kind of fault in it must have had the effect
// that it is for (bite). A schedule that harms nothing proves nothing.
//
// # What is accepted
//
// A message is accepted when the store has acknowledged it (stored), or when
// the store holds it at the end (mailbox) whatever its sender was told, or when
// a client sent it and its socket lived on for [Grace] without an error: a
// client has no other way to know.
//
// # Small mailboxes
//
// In a run that wants mailboxes to overflow (Limit of start), an old client is
// told of no gap, so a message that the store no longer holds at the end may
// have been dropped. A client that confirms must be told of every one; where
// nobody knows at which sequence it was stored (the SDK does not say), and the
// store does not hold it any more, that cannot be judged.
//
// A server of NATS that has started anew knows the ids of those messages only
// that it still holds. What a mailbox has dropped, and its sender repeats for want
// of an answer, may so be stored again: it is another message then.
//
// # Stores that go back
//
// What was stored between the copy of a store (copied) and its restoration may be
// lost, and a session that began between them is gone. A client that confirms is
// told of it by a gap, rollback, and may get again what it had before that, each
// message once; an old one is not, and may so, too. The sequence of what was sent
// before belongs to another log.
// So does that of a message which was delivered before the store went back, and which its
// sender repeats then for want of an answer.
// Without a restoration, rollback is wrong, and where no bound is reached
// (no Limit), a gap for overflow excuses nothing.
//
// # Late deliveries
//
// A client that takes its session over keeps reading the old socket. From the
// moment it asks for the session on a new one (resuming), what the old one
// brings is late. To a client that confirms it counts neither as delivered nor
// as repeated, since the client has said already what it has. To an old client
// it is delivered: its WebSocket answers the old socket's pings, and what came
// before a pong does not come again. For I5 and I8 it counts in both cases.
//
// Where mailboxes overflow, such a message may have been dropped before the new
// socket came to it. The client then gets it from the old socket alone, behind
// messages that are younger. That order is what two sockets make of it, and not
// judged; what comes over each of them is in order. A client that confirms sees
// the same when two sockets asked at the same moment, and has been told of the
// gap by one of them.
package check

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hydrant/integration/chaos/history"
)

// Grace is how long a client's socket must live on for its message to count
// as accepted: longer than a node waits for the store before it tells, though it be
// frozen meanwhile, and more than once.
const Grace = 40 * time.Second

// Promptly is how long nodes and work may take to follow the servers, which they look
// at every second: a few looks.
const Promptly = 10 * time.Second

// Names of what is judged beside I1 to I8 and L.
const (
	Expired  = "expired"  // told expired though it lives
	Repeated = "repeated" // repeated to a client that confirms
	Taken    = "4501"     // 4501 without a rival
	Told     = "told"     // a program was told no outcome, or two
	Failed   = "failed"   // told as failed but stored
	Slow     = "slow"     // back long after the servers
	Bite     = "bite"     // a fault without effect
)

// Words of the protocol.
const (
	closedTaken    = 4501
	unknownSession = "unknown_session"
	rollback       = "rollback"
	overflow       = "overflow"
)

// A Violation is one broken promise.
type Violation struct {
	Invariant string // "I1" … "I8", "L", or one of the names above
	Line      int    // of the history; 0 for what is missing
	Text      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s line %d: %s", v.Invariant, v.Line, v.Text)
}

// A Report is what came of a run.
type Report struct {
	Seed       uint64
	Sessions   int
	Sent       int // attempts
	Accepted   int
	Delivered  int            // first deliveries
	Repeated   map[string]int // to old clients, after a resume, by what came before it
	Twice      int            // to clients that confirm, over two sockets that asked at the same moment
	Gaps       int
	Given      int // to programs, of Delivered
	Dropped    int // repeats that came to the client of a program, which had not confirmed them, and not to the program
	Calls      int // of programs
	Unknown    int // of Calls, those of which it is not known what became of them
	Resumes    int
	Contests   int // two sockets asked for a session at the same moment
	Faults     map[string]int
	Bitten     map[string]int // of Faults, those that had their effect
	MaxRSS     int64
	Violations []Violation
	Suppressed int // violations beyond the bound of the report
}

// Count returns how often an invariant was broken.
func (r *Report) Count(invariant string) int {
	count := 0
	for _, v := range r.Violations {
		if v.Invariant == invariant {
			count++
		}
	}
	return count
}

// String is the summary that a run prints.
func (r *Report) String() string {
	faults := ""
	for _, what := range slices.Sorted(maps.Keys(r.Faults)) {
		faults += fmt.Sprintf(" %s %d/%d,", what, r.Bitten[what], r.Faults[what])
	}
	repeated, causes := 0, ""
	for _, cause := range slices.Sorted(maps.Keys(r.Repeated)) {
		repeated += r.Repeated[cause]
		causes += fmt.Sprintf(" %s %d", cause, r.Repeated[cause])
	}
	return fmt.Sprintf("seed %d: %d sessions, %d resumes, %d contests, sent %d, accepted %d, delivered %d, repeated to old clients %d (after%s), to two sockets of one client %d, gaps %d, "+
		"given to programs %d, repeats dropped for them %d, their calls %d of which unknown %d, largest node %d MiB; lost %d, out of order %d, chain breaks %d, wrong repeats %d, double owners %d, over bounds %d, disturbed %d, strangers' %d, undrained %d, told expired %d, repeated %d, 4501 without a rival %d, told failed but stored %d, told nothing or twice %d, slowly back %d; faults that bit:%s",
		r.Seed, r.Sessions, r.Resumes, r.Contests, r.Sent, r.Accepted, r.Delivered, repeated, causes, r.Twice, r.Gaps, r.Given, r.Dropped, r.Calls, r.Unknown, r.MaxRSS>>20,
		r.Count("I1"), r.Count("I2"), r.Count("I3"), r.Count("I4"), r.Count("I5"), r.Count("I6"), r.Count("I7"), r.Count("I8"), r.Count("L"),
		r.Count(Expired), r.Count(Repeated), r.Count(Taken), r.Count(Failed), r.Count(Told), r.Count(Slow), strings.TrimSuffix(faults, ","))
}

// keptViolations bounds a report: one fault can break thousands.
const keptViolations = 500

// History reads a history and judges it. The error is about reading.
func History(r io.Reader) (*Report, error) {
	c := newChecker()
	if err := history.Read(r, c.event); err != nil {
		return nil, err
	}
	c.finish()
	return c.report, nil
}

// checker holds what the events so far have said.
type checker struct {
	report   *Report
	bounds   *history.Bounds
	limit    int
	conns    map[int]*conn
	sessions map[string]*session
	messages map[string]*message // by mid
	asks     map[string]*ask     // of programs, by mid
	killed   map[string]int      // line at which a node was killed last
	copied   int                 // line of the last copy of the stores
	restored []restore
	now      time.Duration
	well     time.Duration // when the servers stored again last
	drained  bool
	ended    bool
}

// restore is one return of the stores to a copy.
type restore struct {
	from int // line of the copy
	line int
	at   time.Duration
}

// conn is one socket.
type conn struct {
	sid      string
	node     string
	dialed   time.Duration // when it was begun; 0: that is not known
	calm     bool
	after    string // how the session's last socket ended
	closed   bool
	at       time.Duration  // of its end
	seen     map[string]int // how often it got a message
	restores int            // that it has lived through
	chain    bool           // last is known
	last     uint64         // x-seq that the next x-prev must be
	given    uint64         // what the client said it had, when it resumed
	taken    int            // line at which it was given the session
	twin     bool           // it asked for the session together with another

	attempt  uint64 // its number among those of the client; 0: it says none
	answered bool   // it was given a session
	late     bool   // its request arrives with its end, when the client is elsewhere
}

// session is one client's identity.
type session struct {
	class   string
	owner   int            // the conn that last asked for it
	rival   int            // the conn that asked at the same moment; 0: none, or one of the two has ended
	resumed int            // line at which the owner, or the first of the two, was given it
	both    int            // line at which the second was
	won     int            // which of the two got what was sent after that
	first   map[string]int // mid to the line of its first delivery
	last    map[string]int // … of its last one
	firsts  []delivery     // in order
	gaps    []span
	opened  int           // line
	dialed  time.Duration // when the socket was begun over which it was opened
	known   bool          // it was opened
	gone    bool          // it was not in the copy
	rolled  int           // line of its last gap for rollback
	attempt uint64        // the highest that asked for it

	programs int            // managed: that went on with it
	answers  map[string]int // managed: of each answer, how many programs there had been
}

type delivery struct {
	mid  string
	line int
	conn int
	late bool // another socket had the session by then, or may have had it
}

type span struct{ from, to uint64 }

// message is one that somebody sent.
type message struct {
	sid       string
	source    string
	rmid      string // the question that it answers
	conn      int    // the client's
	sent      int    // line
	at        time.Duration
	outcomes  int // of a program's
	failed    bool
	told      string // the code of the failure
	toldAt    int    // line
	stored    bool
	confirmed int      // line at which the store acknowledged it
	kept      bool     // the store holds it at the end
	came      int      // times
	seqs      []uint64 // as far as anybody knows
}

func newChecker() *checker {
	return &checker{
		report:   &Report{Faults: make(map[string]int), Bitten: make(map[string]int), Repeated: make(map[string]int)},
		killed:   make(map[string]int),
		conns:    make(map[int]*conn),
		sessions: make(map[string]*session),
		messages: make(map[string]*message),
		asks:     make(map[string]*ask),
	}
}

func (c *checker) violate(invariant string, line int, format string, args ...any) {
	if len(c.report.Violations) >= keptViolations {
		c.report.Suppressed++
		return
	}
	c.report.Violations = append(c.report.Violations, Violation{invariant, line, fmt.Sprintf(format, args...)})
}

func (c *checker) session(sid string) *session {
	s := c.sessions[sid]
	if s == nil {
		s = &session{first: make(map[string]int), last: make(map[string]int), answers: make(map[string]int)}
		c.sessions[sid] = s
	}
	return s
}

// learn notes a mailbox sequence of a message.
func (m *message) learn(seq uint64) {
	if seq != 0 && !slices.Contains(m.seqs, seq) {
		m.seqs = append(m.seqs, seq)
	}
}
