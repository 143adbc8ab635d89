package rest

import "math"

// float16 widens an IEEE 754 half: 1 bit sign, 5 exponent, 10 fraction.
func float16(bits uint16) float64 {
	sign := 1.0
	if bits&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// toFloat16 narrows, rounding to nearest, ties to even; too large becomes infinite.
func toFloat16(value float32) uint16 {
	bits := math.Float32bits(value)
	sign := uint16(bits >> 16 & 0x8000)
	exponent, fraction := int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case exponent == 128 && fraction != 0:
		return sign | 0x7e00
	case exponent > 15:
		return sign | 0x7c00
	case exponent < -25:
		return sign
	case exponent < -14:
		// Subnormal: the leading one becomes part of the fraction.
		return sign | uint16(roundShift(fraction|0x800000, uint(-exponent-1)))
	}
	// A carry out of the fraction runs into the exponent, as it should.
	return sign | uint16(roundShift(uint32(exponent+15)<<23|fraction, 13))
}

// bfloat16 widens the upper half of a float32.
func bfloat16(bits uint16) float64 { return float64(math.Float32frombits(uint32(bits) << 16)) }

func toBFloat16(value float32) uint16 {
	bits := math.Float32bits(value)
	if value != value {
		return uint16(bits>>16) | 0x40 // stays a NaN whatever bits are cut off
	}
	return uint16(roundShift(bits, 16))
}

// roundShift shifts right, rounding to nearest, ties to even.
func roundShift(value uint32, shift uint) uint32 {
	half := uint32(1) << (shift - 1)
	rest := value & (1<<shift - 1)
	value >>= shift
	if rest > half || rest == half && value&1 == 1 {
		value++
	}
	return value
}
