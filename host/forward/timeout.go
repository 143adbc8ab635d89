package forward

import (
	"strconv"
	"time"
)

// timeoutUnits are grpc-timeout's units from small to large.
var timeoutUnits = []struct {
	letter byte
	unit   time.Duration
}{
	{'n', time.Nanosecond}, {'u', time.Microsecond}, {'m', time.Millisecond},
	{'S', time.Second}, {'M', time.Minute}, {'H', time.Hour},
}

// maxTimeoutValue: grpc-timeout has at most eight digits.
const maxTimeoutValue = 99999999

// ParseTimeout reads the value of a grpc-timeout header. Values over a Duration's range are its maximum.
func ParseTimeout(value string) (time.Duration, error) {
	if len(value) < 2 || len(value) > 9 {
		return 0, invalid("malformed grpc-timeout %q: want up to 8 digits and one of the units H M S m u n", value)
	}
	number, err := strconv.ParseUint(value[:len(value)-1], 10, 32)
	if err == nil {
		for _, u := range timeoutUnits {
			if u.letter != value[len(value)-1] {
				continue
			}
			if number > uint64(1<<63-1)/uint64(u.unit) {
				return 1<<63 - 1, nil
			}
			return time.Duration(number) * u.unit, nil
		}
	}
	return 0, invalid("malformed grpc-timeout %q: want up to 8 digits and one of the units H M S m u n", value)
}

// formatTimeout writes d, at least one nanosecond, in the finest unit that fits, rounded up.
func formatTimeout(d time.Duration) string {
	d = max(d, 1)
	for _, u := range timeoutUnits {
		n := d / u.unit
		if n*u.unit < d {
			n++
		}
		if n <= maxTimeoutValue {
			return strconv.FormatInt(int64(n), 10) + string(u.letter)
		}
	}
	return strconv.Itoa(maxTimeoutValue) + "H"
}
