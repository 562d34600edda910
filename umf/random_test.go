package umf

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// dice is a document's source of chance: a seeded generator, or rapid, which can
// shrink a failing document.
type dice interface {
	// intN returns a number from 0 to n-1.
	intN(n int) int
}

type seededDice struct{ *rand.Rand }

func newDice(seed uint64) seededDice { return seededDice{rand.New(rand.NewPCG(seed, 0))} }

func (d seededDice) intN(n int) int { return d.IntN(n) }

func pick[T any](d dice, from []T) T { return from[d.intN(len(from))] }

// author writes random JSON that is as nasty as a valid text can be.
type author struct {
	dice
	out strings.Builder
}

// randomMessage returns a message in a mixture of forms, its keys in any
// order, some of them there twice or unknown. Most messages can be signed.
func randomMessage(d dice) string {
	a := author{dice: d}
	var members []func()
	for f := range fieldCount {
		always := f == Mid || f == Timestamp || f == Body
		if !always && d.intN(3) == 0 || always && d.intN(50) == 0 {
			continue
		}
		times := 1
		if d.intN(8) == 0 {
			times = 2
		}
		for range times {
			members = append(members, func() { a.field(f, always) })
		}
	}
	for range d.intN(3) {
		members = append(members, func() { a.key(); a.colon(); a.value(3) })
	}
	for i := len(members) - 1; i > 0; i-- {
		j := d.intN(i + 1)
		members[i], members[j] = members[j], members[i]
	}
	a.space()
	a.list('{', '}', len(members), func(i int) { members[i]() })
	a.space()
	return a.out.String()
}

// randomValue returns a JSON value with up to depth levels.
func randomValue(d dice, depth int) string {
	a := author{dice: d}
	a.value(depth)
	return a.out.String()
}

func (a *author) field(f Field, truthy bool) {
	key := f.Short()
	if a.intN(2) == 0 {
		key = f.Long()
	}
	if a.intN(10) == 0 {
		i := a.intN(len(key))
		key = key[:i] + fmt.Sprintf(`\u%04x`, key[i]) + key[i+1:]
	}
	a.out.WriteString(`"` + key + `"`)
	a.colon()
	switch {
	case f == Body || f == Headers || a.intN(12) == 0:
		a.value(5)
	case a.intN(12) == 0 && !truthy:
		a.out.WriteString(pick(a, []string{`0`, `-0`, `0.0e5`, `1e-400`, `""`, `null`, `false`}))
	default:
		a.out.WriteString(pick(a, []string{`"a:/"`, `"x"`, `"svc:[get]\/p"`, `"\u0041"`, `"2026-01-12T20:16:29.157Z"`, `7`, `"UMF/1.4.6"`}))
	}
}

// list writes n members or elements between brackets.
func (a *author) list(open, end byte, n int, item func(i int)) {
	a.out.WriteByte(open)
	a.space()
	for i := range n {
		if i > 0 {
			a.out.WriteByte(',')
			a.space()
		}
		item(i)
		a.space()
	}
	a.out.WriteByte(end)
}

func (a *author) space() {
	if a.intN(6) == 0 {
		a.out.WriteString(pick(a, []string{" ", "\n", "\t", "\r\n", "  "}))
	}
}

func (a *author) colon() {
	a.space()
	a.out.WriteByte(':')
	a.space()
}

func (a *author) value(depth int) {
	kind := a.intN(7)
	if depth <= 0 {
		kind = a.intN(5)
	}
	switch kind {
	case 0:
		a.out.WriteString(pick(a, []string{"true", "false", "null"}))
	case 1, 2:
		a.out.WriteString(a.number())
	case 3, 4:
		a.str()
	case 5:
		a.list('[', ']', a.intN(5), func(int) { a.value(depth - 1) })
	case 6:
		n := a.intN(6)
		if a.intN(20) == 0 {
			n = a.intN(40) // beyond what is compared key by key
		}
		a.list('{', '}', n, func(int) { a.key(); a.colon(); a.value(depth - 1) })
	}
}

// key writes a key from a small choice, so that keys come twice.
func (a *author) key() {
	switch a.intN(4) {
	case 0:
		a.out.WriteString(strconv.Quote(strconv.Itoa(a.intN(12))))
	case 1:
		a.out.WriteString(`"` + pick(a, []string{
			`4294967294`, `4294967295`, `4294967296`, `2147483648`, `99999999999999999999`, `00`, `01`, `-1`, `-0`, `1.0`, `1e3`, `+1`,
			` 1`, `1 `, `Infinity`, `NaN`, `\u0031`, `1\u0030`, `９`, `٣`,
		}) + `"`)
	case 2:
		a.out.WriteString(`"` + pick(a, []string{
			`__proto__`, `constructor`, `prototype`, `toString`, `toJSON`, `valueOf`, `hasOwnProperty`, `length`, ``, `a`, `\u0061`, `b`,
			`\ud800`, `\uD800`, `\udc00`, `\ud83d\ude00`, `😀`, `é`, `e\u0301`, `to`, `from`, `frm`, `body`, `sig`, `\"`, `\\`, `\/`, `/`,
		}) + `"`)
	default:
		a.str()
	}
}

func (a *author) str() {
	a.out.WriteByte('"')
	for range a.intN(8) {
		a.out.WriteString(a.character())
	}
	a.out.WriteByte('"')
}

func (a *author) character() string {
	switch a.intN(8) {
	case 0:
		return pick(a, []string{`\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`})
	case 1: // any UTF-16 unit, surrogates among them
		return fmt.Sprintf(pick(a, []string{`\u%04x`, `\u%04X`}), a.intN(1<<16))
	case 2: // surrogates in every order
		return fmt.Sprintf(`\u%04x`, 0xd800+a.intN(0x800))
	case 3:
		return fmt.Sprintf(`\ud83d\ude%02x`, a.intN(256))
	case 4:
		return fmt.Sprintf(`\u00%02x`, a.intN(256))
	case 5:
		return pick(a, []string{"é", "ß", "你", "😀", "\u007f", "\u0080", "\u2028", "\u2029", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "\u200d", "e\u0301"})
	case 6:
		return pick(a, []string{"<", ">", "&", "'", "/", " ", "$", "{", "}", "[", "]", ":", ","})
	}
	return pick(a, []string{"a", "plain text", "0", "Z", "to", "x-"})
}

func (a *author) number() string {
	switch a.intN(8) {
	case 0:
		return pick(a, []string{
			"0", "-0", "0.0", "-0.0", "0e0", "-0E+5", "1.0", "1e0", "1E400", "-1e400", "1e-400", "1e308", "1.7976931348623157e308",
			"1.7976931348623159e308", "5e-324", "2e-324", "2.4703282292062328e-324", "2.2250738585072014e-308", "2.225073858507201e-308",
			"1e21", "999999999999999900000", "999999999999999999999", "1e20", "123456789012345680000", "1e-6", "9.999999e-7", "1e-7",
			"0.000001", "0.0000001", "9007199254740991", "9007199254740992", "9007199254740993", "18014398509481985", "12345678901234567890",
			"0.1", "0.10", "0.30000000000000004", "4.35", "1e23", "8.41e21", "9.5367431640625e-7", "5e-7", "1.1e-7",
			"144115188075855870", "144115188075855880", "0.1e1", "100e-2",
		})
	case 1: // any double, to the last bit
		x := math.Float64frombits(a.bits()<<48 | a.bits()<<32 | a.bits()<<16 | a.bits())
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "1e999"
		}
		return strconv.FormatFloat(x, 'e', -1, 64)
	case 2: // digits without end
		return a.digits(41)
	case 3: // fractions, with zeros at both ends
		return pick(a, []string{"", "-"}) + strconv.Itoa(a.intN(1000)) + "." + strings.Repeat("0", a.intN(9)) +
			a.digits(13) + strings.Repeat("0", a.intN(4))
	case 4: // exponents
		return fmt.Sprintf("%d.%d%s%s%d", a.intN(10), a.intN(1<<30), pick(a, []string{"e", "E"}), pick(a, []string{"", "+", "-", "-0"}), a.intN(330))
	case 5: // around where the notation changes
		return fmt.Sprintf("%de%d", 1+a.intN(1<<30), a.intN(60)-35)
	}
	return pick(a, []string{"", "-"}) + a.digits(17)
}

func (a *author) bits() uint64 { return uint64(a.intN(1 << 16)) }

// digits returns 1 to most digits, the first of them not zero.
func (a *author) digits(most int) string {
	s := []byte{'1' + byte(a.intN(9))}
	for range a.intN(most) {
		s = append(s, '0'+byte(a.intN(10)))
	}
	return string(s)
}
