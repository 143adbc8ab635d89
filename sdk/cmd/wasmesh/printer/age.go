package printer

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Age is how kubectl says how old something is; "<unknown>" for the zero time.
func Age(now, created time.Time) string {
	if created.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(created))
}
