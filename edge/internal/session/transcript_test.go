package session

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what happens into the transcripts")

// recorder performs effects by writing them down.
type recorder struct {
	out   bytes.Buffer
	marks uint64
	tails int // questions for a tail until there is none
	room  int // writes until the queue is at its bound; negative: unlimited
}

func (r *recorder) say(format string, args ...any) {
	fmt.Fprintf(&r.out, "\t"+format+"\n", args...)
}

func (r *recorder) NextMark() uint64 { r.marks++; return r.marks }

func (r *recorder) Mark(id uint64, keep bool) {
	r.say("mark %d%s", id, map[bool]string{true: " keep"}[keep])
}
func (r *recorder) Read(from, anchor uint64, max int) {
	r.say("read from %d anchor %d max %d", from, anchor, max)
}
func (r *recorder) Tail(after, to uint64) bool {
	if r.tails--; r.tails < 0 {
		return false
	}
	r.say("tail after %d to %d", after, to)
	return true
}
func (r *recorder) Timer(d time.Duration) { r.say("timer %v", d) }
func (r *recorder) Ping(token uint64) {
	r.say("ping %d%s", token&(1<<tokenBits-1), strings.Repeat("'", int(token>>tokenBits)))
}
func (r *recorder) Attached() bool       { r.say("attached"); return true }
func (r *recorder) Dirty()               { r.say("dirty") }
func (r *recorder) State(old, new State) { r.say("%v to %v", old, new) }
func (r *recorder) Count(e Event)        { r.say("count %v", e) }
func (r *recorder) Write(m Out) bool {
	r.say("write %d after %d %s", m.Seq, m.Prev, m.Payload)
	return r.take()
}
func (r *recorder) Gap(g Gap) bool {
	lost := ""
	if g.Lost != 0 {
		lost = fmt.Sprintf(" lost %d", g.Lost)
	}
	r.say("gap %d to %d %v%s, %d after %d", g.From, g.To, g.Why, lost, g.Seq, g.Prev)
	return r.take()
}

func (r *recorder) take() bool {
	if r.room > 0 {
		r.room--
	}
	return r.room != 0
}

// script runs the events of a transcript.
//
//	plain|acked [window=N] [held=N] [bytes=N] [batch=N]   a new session
//	attach FLOOR SEEN [time=T] [seentime=T] [old|back] [tail=N] | attach fresh
//	                      tail: the holder before may have copies, and is asked N times
//	disconnected | reattach | refresh | swept LAST | timeout | stop
//	copy SEQ prev=P [mark=ID] [ttl] [time=T]
//	batch [unchecked|present|gone|foreign] [at=T] [oldest=N] [next=N] [last=N] [MSG…]
//	    MSG: SEQ, followed by m (marker), t (TTL), @T (time), as in 12mt@7
//	batch error
//	copies [SEQ:PREV…]    of the holder before, with the marks of MSG behind SEQ
//	room N | writable     N more writes until the queue is full
//	pong SEQ['…] | ack SEQ
//	settle
//	positions             writes cursor, floor and seen
type script struct {
	t *testing.T
	s *Session
	r *recorder
}

func (sc *script) num(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		sc.t.Fatalf("not a number: %q", s)
	}
	return n
}

// args splits words into a map of key=value and the rest.
func args(words []string) (map[string]string, []string) {
	m, rest := map[string]string{}, []string(nil)
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			m[k] = v
		} else {
			rest = append(rest, w)
		}
	}
	return m, rest
}

func (sc *script) opt(m map[string]string, key string) uint64 {
	if v, ok := m[key]; ok {
		return sc.num(v)
	}
	return 0
}

func (sc *script) run(line string) {
	words := strings.Fields(line)
	m, rest := args(words[1:])
	s, r := sc.s, sc.r
	switch words[0] {
	case "plain", "acked":
		class := map[string]Class{"plain": Plain, "acked": Acked}[words[0]]
		sc.s = newSession(class, &Options{Window: int(sc.opt(m, "window")), HeldMessages: int(sc.opt(m, "held")),
			HeldBytes: int(sc.opt(m, "bytes")), Batch: int(sc.opt(m, "batch"))})
		sc.r.marks, sc.r.room = 0, -1
	case "attach":
		sc.attach(m, rest)
	case "copy":
		c := Copy{Seq: sc.num(rest[0]), Prev: sc.opt(m, "prev"), Mark: sc.opt(m, "mark"), Time: int64(sc.opt(m, "time"))}
		c.TTL = len(rest) > 1 && rest[1] == "ttl"
		if c.Mark == 0 {
			c.Payload = []byte("live" + rest[0])
		}
		s.Live(c, r)
	case "copies":
		s.Copies(sc.copies(rest), r)
	case "batch":
		s.Batch(sc.batch(m, rest), r)
	case "room":
		r.room = int(sc.num(rest[0]))
	case "writable":
		r.room = -1
		s.Writable(r)
	case "pong":
		seq := strings.TrimRight(rest[0], "'")
		s.Pong(sc.num(seq)|uint64(len(rest[0])-len(seq))<<tokenBits, r)
	case "ack":
		if err := s.Ack(sc.num(rest[0]), r); err != nil {
			r.say("error: %v", err)
		}
	case "disconnected":
		s.Disconnected(r)
	case "reattach":
		s.Reattach(false, r)
	case "refresh":
		s.Refresh(r)
	case "swept":
		s.Swept(sc.num(rest[0]), r)
	case "timeout":
		s.Timeout(r)
	case "settle":
		r.say("wait %v", s.Settle(r))
	case "stop":
		s.Stop()
	case "positions":
		at := ""
		if t := s.FloorTime(); t != 0 {
			at = fmt.Sprintf("@%d", t)
		}
		if from, to := s.OldLog(); to != 0 {
			r.say("of the old log: %d to %d", from, to)
		}
		r.say("%v %v: cursor %d floor %d%s seen %d unconfirmed %d", s.Class(), s.State(), s.Cursor(), s.Floor(), at, s.Seen(), s.Unconfirmed())
		if s.Settled() {
			r.say("settled")
		}
	default:
		sc.t.Fatalf("unknown event %q", line)
	}
}

func (sc *script) attach(m map[string]string, rest []string) {
	sc.r.tails = int(sc.opt(m, "tail"))
	if rest[0] == "fresh" {
		sc.s.Attach(Position{}, true, false, sc.r)
		return
	}
	sc.s.Attach(Position{
		Floor: sc.num(rest[0]), FloorTime: int64(sc.opt(m, "time")),
		Seen: sc.num(rest[1]), SeenTime: int64(sc.opt(m, "seentime")),
		Old: len(rest) > 2 && rest[2] == "old", Back: len(rest) > 2 && rest[2] == "back", Tail: m["tail"] != "",
	}, false, false, sc.r)
}

func (sc *script) copies(rest []string) (list []Copy) {
	for _, w := range rest {
		w, prev, _ := strings.Cut(w, ":")
		w, at, _ := strings.Cut(w, "@")
		seq := strings.TrimRight(w, "mt")
		c := Copy{Seq: sc.num(seq), Prev: sc.num(prev), TTL: strings.Contains(w, "t")}
		if at != "" {
			c.Time = int64(sc.num(at))
		}
		if strings.Contains(w, "m") {
			c.Mark = 1 << 62
		} else {
			c.Payload = []byte("kept" + seq)
		}
		list = append(list, c)
	}
	return list
}

func (sc *script) batch(m map[string]string, rest []string) Batch {
	if len(rest) > 0 && rest[0] == "error" {
		return Batch{Err: errTest}
	}
	b := Batch{AnchorTime: int64(sc.opt(m, "at")), Oldest: sc.opt(m, "oldest"), Next: sc.opt(m, "next"), Last: sc.opt(m, "last")}
	_, b.HasLast = m["last"]
	for _, w := range rest {
		switch w {
		case "unchecked":
			b.Anchor = Unchecked
		case "present":
			b.Anchor = Present
		case "gone":
			b.Anchor = Gone
		case "foreign":
			b.Anchor = Foreign
		case "back":
			b.Back = true
		default:
			w, at, _ := strings.Cut(w, "@")
			seq := strings.TrimRight(w, "mt")
			x := Stored{Seq: sc.num(seq), Mark: strings.Contains(w, "m"), TTL: strings.Contains(w, "t")}
			if at != "" {
				x.Time = int64(sc.num(at))
			}
			if !x.Mark {
				x.Payload = []byte("read" + seq)
			}
			b.Msgs = append(b.Msgs, x)
		}
	}
	return b
}

// TestTranscripts replays testdata/transcripts: events in the first column,
// effects indented below them. Run with -update after a deliberate change, and
// read the difference.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sc := &script{t: t, r: &recorder{}}
			for line := range strings.Lines(string(want)) {
				switch {
				case strings.HasPrefix(line, "\t"):
					continue
				case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
					sc.r.out.WriteString(line)
				default:
					sc.r.out.WriteString(line)
					sc.run(line)
				}
			}
			if *update {
				if err := os.WriteFile(file, sc.r.out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := sc.r.out.String(); got != string(want) {
				t.Errorf("%s: got\n%s", file, got)
			}
		})
	}
}
