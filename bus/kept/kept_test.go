package kept_test

import (
	"slices"
	"testing"

	"hydrant/bus/kept"
)

func item(seq, prev uint64) kept.Item[string] {
	return kept.Item[string]{Seq: seq, Prev: prev, Time: int64(10 * seq)}
}

func loss(from, to uint64) kept.Item[string] { return kept.Item[string]{From: from, To: to} }

func seqs(a kept.Answer[string]) (list []uint64) {
	for _, m := range a.Msgs {
		list = append(list, m.Seq)
	}
	return list
}

func TestSealed(t *testing.T) {
	const seal = 100
	copies := []kept.Item[string]{item(40, 30), item(10, 5), item(30, 10), item(30, 10), item(10, 5)}
	for _, c := range []struct {
		name   string
		items  []kept.Item[string]
		q      kept.Question
		msgs   []uint64
		there  bool
		time   int64
		oldest uint64
		cut    bool
	}{
		{"each once and in order", copies, kept.Question{From: 6, Place: 5, Anchor: 5, Known: true, Settled: 5}, []uint64{10, 30, 40}, true, 0, 0, false},
		{"of two logs the later one's", append(slices.Clone(copies), kept.Item[string]{Seq: 30, Prev: 10, Time: 7000}), kept.Question{From: 31, Place: 30, Anchor: 30, Known: true, Settled: 5}, []uint64{40}, true, 7000, 0, false},
		{"behind the position only", copies, kept.Question{From: 11, Place: 10, Anchor: 10, Known: true, Settled: 5}, []uint64{30, 40}, true, 100, 0, false},
		{"a client's word that was copied", copies, kept.Question{From: 31, Place: 30, Anchor: 30, Settled: 5}, []uint64{40}, true, 300, 0, false},
		{"a client's word that nobody knows", copies, kept.Question{From: 32, Place: 31, Anchor: 31, Settled: 5}, []uint64{40}, false, 0, 40, false},
		{"all is delivered", nil, kept.Question{From: 51, Place: 50, Anchor: 50, Known: true, Settled: 50}, nil, true, 0, 0, false},
		{"below what was confirmed", copies, kept.Question{From: 3, Place: 2, Anchor: 2, Known: true, Settled: 10}, []uint64{30, 40}, false, 0, 30, false},
		{"below what was confirmed, and nothing waits", nil, kept.Question{From: 3, Place: 2, Anchor: 2, Known: true, Settled: 10}, nil, false, 0, seal, false},
		{"lost in front", append([]kept.Item[string]{loss(6, 9)}, copies...), kept.Question{From: 6, Place: 5, Anchor: 5, Known: true, Settled: 5}, []uint64{10, 30, 40}, false, 0, 10, false},
		{"lost in between", append([]kept.Item[string]{loss(11, 29)}, copies...), kept.Question{From: 6, Place: 5, Anchor: 5, Known: true, Settled: 5}, []uint64{10}, true, 0, 0, true},
		{"… asked for behind it", append([]kept.Item[string]{loss(11, 29)}, copies...), kept.Question{From: 11, Place: 10, Anchor: 10, Known: true, Settled: 5}, []uint64{30, 40}, false, 0, 30, false},
		{"… asked for from the first sequence", append([]kept.Item[string]{loss(11, 29)}, copies...), kept.Question{From: 1, Place: 10, Anchor: 10, Known: true}, []uint64{30, 40}, false, 0, 30, false},
		{"… and from before the place", append([]kept.Item[string]{loss(31, 39)}, copies...), kept.Question{From: 1, Place: 30, Anchor: 10, Known: true, Settled: 5}, []uint64{40}, false, 0, 40, false},
		{"a copy counts before its loss", append([]kept.Item[string]{loss(25, 35)}, copies...), kept.Question{From: 11, Place: 10, Anchor: 10, Known: true, Settled: 5}, []uint64{30}, false, 0, 30, true},
		{"lost at the end", append([]kept.Item[string]{loss(41, 60)}, copies...), kept.Question{From: 31, Place: 30, Anchor: 30, Known: true, Settled: 5}, []uint64{40}, true, 300, 0, true},
		{"… asked for behind it", append([]kept.Item[string]{loss(41, 60)}, copies...), kept.Question{From: 41, Place: 40, Anchor: 40, Known: true, Settled: 5}, nil, false, 0, seal, false},
		{"too much", append([]kept.Item[string]{loss(0, 30)}, copies...), kept.Question{From: 6, Place: 5, Anchor: 5, Known: true, Settled: 5}, []uint64{40}, false, 0, 40, false},
		{"too much of what was confirmed", append([]kept.Item[string]{loss(0, 30)}, copies...), kept.Question{From: 31, Place: 30, Anchor: 30, Known: true, Settled: 30}, []uint64{40}, true, 0, 0, false},
	} {
		shelf := kept.NewShelf(c.items)
		a := shelf.Sealed(c.q, seal)
		if !slices.Equal(seqs(a), c.msgs) || a.There != c.there || a.AnchorTime != c.time || a.Oldest != c.oldest || a.Cut != c.cut {
			t.Errorf("%s: %d there %v at %d oldest %d cut %v", c.name, seqs(a), a.There, a.AnchorTime, a.Oldest, a.Cut)
		}
	}
}

func TestUnsealed(t *testing.T) {
	const first = 100
	copies := []kept.Item[string]{item(10, 5), item(30, 10), item(40, 35)}
	for _, c := range []struct {
		name   string
		q      kept.Question
		msgs   []uint64
		there  bool
		oldest uint64
		cut    bool
	}{
		{"up to a missing link", kept.Question{From: 6, Place: 5, Anchor: 5, Known: true, Settled: 5}, []uint64{10, 30}, true, 0, true},
		{"behind it", kept.Question{From: 31, Place: 30, Anchor: 30, Known: true, Settled: 5}, []uint64{40}, false, 40, true},
		{"the first is not linked", kept.Question{From: 5, Place: 4, Anchor: 4, Known: true, Settled: 4}, []uint64{10, 30}, false, 10, true},
		{"behind all", kept.Question{From: 41, Place: 40, Anchor: 40, Known: true, Settled: 5}, nil, false, first, false},
	} {
		shelf := kept.NewShelf(copies)
		a := shelf.Unsealed(c.q, first)
		if !slices.Equal(seqs(a), c.msgs) || a.There != c.there || a.Oldest != c.oldest || a.Cut != c.cut {
			t.Errorf("%s: %d there %v oldest %d cut %v", c.name, seqs(a), a.There, a.Oldest, a.Cut)
		}
	}
}

func TestStrange(t *testing.T) {
	shelf := kept.NewShelf([]kept.Item[string]{item(10, 5), item(30, 10), item(40, 30)})
	for _, c := range []struct {
		name    string
		after   uint64
		has     []uint64
		last    uint64
		strange bool
	}{
		{"all below the log's first", 5, []uint64{50, 60}, 60, false},
		{"as it was copied", 5, []uint64{30, 40, 60}, 60, false},
		{"one that should be there", 5, []uint64{30, 60}, 60, true},
		{"… and was confirmed", 40, []uint64{30, 60}, 60, false},
		{"beyond the log's last", 40, nil, 35, true},
	} {
		if got := shelf.Strange(c.after, c.has, c.last); got != c.strange {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
