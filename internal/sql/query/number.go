// SPDX-License-Identifier: Apache-2.0

package query

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"firn.dev/firn/internal/sql/rowset"
)

// maxPrecision is the number of digits a NUMBER can have.
const maxPrecision = 38

var (
	bigOne = big.NewInt(1)
	bigTwo = big.NewInt(2)
	bigTen = big.NewInt(10)
)

// powers holds the powers of ten that decimals need; nobody writes to it.
var powers = func() (all [2*maxPrecision + 1]*big.Int) {
	for i := range all {
		all[i] = new(big.Int).Exp(bigTen, big.NewInt(int64(i)), nil)
	}
	return all
}()

// pow10 is 10 to the n; it must not be changed.
func pow10(n int) *big.Int {
	if n >= 0 && n < len(powers) {
		return powers[n]
	}
	return new(big.Int).Exp(bigTen, big.NewInt(int64(n)), nil)
}

// rescale moves a number from one count of fraction digits to another, rounding half away from zero.
func rescale(n *big.Int, from, to int) *big.Int {
	switch {
	case from == to:
		return n
	case from < to:
		return new(big.Int).Mul(n, pow10(to-from))
	}
	return divideRounded(n, pow10(from-to))
}

// divideRounded divides, rounding half away from zero.
func divideRounded(n, d *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(n, d, new(big.Int))
	if new(big.Int).Mul(new(big.Int).Abs(r), bigTwo).CmpAbs(d) >= 0 {
		if n.Sign()*d.Sign() < 0 {
			return q.Sub(q, bigOne)
		}
		return q.Add(q, bigOne)
	}
	return q
}

// decimalText writes n with exactly scale fraction digits.
func decimalText(n *big.Int, scale int) string {
	if scale == 0 {
		if n.IsInt64() {
			return strconv.FormatInt(n.Int64(), 10)
		}
		return n.String()
	}
	digits := new(big.Int).Abs(n).String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// parseDecimal reads a number as written, with or without fraction and exponent. scale is the count of its fraction digits.
func parseDecimal(text string) (n *big.Int, scale int, ok bool) {
	if small, scale, ok := parseSmall(text); ok {
		return big.NewInt(small), scale, true
	}
	text = strings.TrimSpace(text)
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e > 400 || e < -400 {
			return nil, 0, false
		}
		mantissa, exponent = text[:i], e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") || strings.HasPrefix(whole, "+") {
		sign, whole = whole[:1], whole[1:]
	}
	digits := whole + fraction
	if digits == "" || len(digits) > 400 || strings.Trim(digits, "0123456789") != "" {
		return nil, 0, false
	}
	n, ok = new(big.Int).SetString(sign+digits, 10)
	if !ok {
		return nil, 0, false
	}
	scale = len(fraction) - exponent
	if scale < 0 {
		return rescale(n, 0, -scale), 0, true
	}
	return n, scale, true
}

// parseSmall is parseDecimal for what needs no more than 18 digits and has no exponent.
func parseSmall(text string) (n int64, scale int, ok bool) {
	digits, negative := text, false
	if digits != "" && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, 0, false
	}
	point := -1
	for i := range len(digits) {
		switch b := digits[i]; {
		case b >= '0' && b <= '9':
			n = n*10 + int64(b-'0')
		case b == '.' && point < 0 && len(digits) > 1:
			point = i
		default:
			return 0, 0, false
		}
	}
	if point >= 0 {
		scale = len(digits) - point - 1
	}
	if negative {
		n = -n
	}
	return n, scale, true
}

// fits tells whether n has at most precision digits.
func fits(n *big.Int, precision int) bool {
	if precision >= 19 && n.IsInt64() {
		return true
	}
	return n.CmpAbs(pow10(precision)) < 0
}

// toFloat is the nearest float of a decimal.
func toFloat(n *big.Int, scale int) float64 {
	if scale == 0 {
		f, _ := new(big.Float).SetInt(n).Float64()
		return f
	}
	f, _ := new(big.Rat).SetFrac(n, pow10(scale)).Float64()
	return f
}

// fromFloat is the decimal nearest to f with scale fraction digits; false for NaN and infinities.
func fromFloat(f float64, scale int) (*big.Int, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, false
	}
	n, s, ok := parseDecimal(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		return nil, false
	}
	return rescale(n, s, scale), true
}

// floatText writes f as cells and casts to text do.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f == math.Trunc(f) && math.Abs(f) < 1e15:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// parseFloat reads a float as written.
func parseFloat(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "nan":
		return math.NaN(), true
	case "inf", "infinity", "+inf":
		return math.Inf(1), true
	case "-inf", "-infinity":
		return math.Inf(-1), true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "xXpP_") {
		return 0, false
	}
	return f, true
}

// digitsOf is the count of digits of n, at least 1.
func digitsOf(n *big.Int) int { return len(new(big.Int).Abs(n).String()) }

// arithmeticType is the type of l op r for decimals.
// https://docs.snowflake.com/en/sql-reference/operators-arithmetic
func arithmeticType(op string, l, r rowset.Column) rowset.Column {
	leadL, leadR := l.Precision-l.Scale, r.Precision-r.Scale
	out := rowset.Column{Type: rowset.Fixed}
	switch op {
	case "*":
		out.Scale = min(l.Scale+r.Scale, max(l.Scale, r.Scale, 12))
		out.Precision = leadL + leadR + out.Scale
	case "/":
		out.Scale = max(l.Scale, min(l.Scale+6, 12))
		out.Precision = leadL + r.Scale + out.Scale
	case "%":
		out.Scale = max(l.Scale, r.Scale)
		out.Precision = max(leadL, leadR) + out.Scale
	default:
		out.Scale = max(l.Scale, r.Scale)
		out.Precision = max(leadL, leadR) + 1 + out.Scale
	}
	out.Precision = max(min(out.Precision, maxPrecision), 1)
	out.Scale = min(out.Scale, maxPrecision-1)
	return out
}

// decimalArithmetic computes l op r, all scaled as their columns say.
func decimalArithmetic(op string, l, r *big.Int, lc, rc, out rowset.Column) (*big.Int, error) {
	var n *big.Int
	switch op {
	case "+":
		n = new(big.Int).Add(rescale(l, lc.Scale, out.Scale), rescale(r, rc.Scale, out.Scale))
	case "-":
		n = new(big.Int).Sub(rescale(l, lc.Scale, out.Scale), rescale(r, rc.Scale, out.Scale))
	case "*":
		n = rescale(new(big.Int).Mul(l, r), lc.Scale+rc.Scale, out.Scale)
	case "/":
		if r.Sign() == 0 {
			return nil, errDivision()
		}
		n = divideRounded(new(big.Int).Mul(l, pow10(out.Scale+rc.Scale-lc.Scale)), r)
	default:
		d := rescale(r, rc.Scale, out.Scale)
		if d.Sign() == 0 {
			return nil, errDivision()
		}
		n = new(big.Int).Rem(rescale(l, lc.Scale, out.Scale), d)
	}
	if !fits(n, maxPrecision) {
		return nil, errRange(decimalText(n, out.Scale))
	}
	return n, nil
}
