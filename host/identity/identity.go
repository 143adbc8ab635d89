// Package identity makes this host a member of its mesh in a cluster: it makes a key, which never leaves memory, has the
// controller sign it against the token of the pod's ServiceAccount, and again before the certificate ends.
//
// An Identity answers the TLS of every connection to the controller and between hosts, by what it holds at that moment: a
// new certificate, or another authority, concerns the next handshake, and no connection that stands. Both sides verify:
// the controller by its name, a host by its namespace, and the id that was dialled (sdk/meshcert). Sessions are not
// resumed: connections last for hours, and what a former certificate said is no matter then.
//
// Package node owns one Identity when it is given --ca-file; its peers, forward and sync connections use it.
package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

const (
	// lookEvery is how often the file of authorities is looked at.
	lookEvery = 10 * time.Second
	// firstRetry and lastRetry are the pauses while the controller gives no certificate. A host that has none serves
	// nobody, so it asks often; one that has asks for hours before it ends.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Config says who this host is and who gives it a certificate.
type Config struct {
	// Namespace and HostID have to be those of the pod: they are what the certificate will say.
	Namespace, HostID string
	// Controller is the target of the sync service, as gRPC spells it.
	Controller string
	// CAFile and TokenFile are read again each time: the kubelet changes them.
	CAFile, TokenFile string
	Logger            *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// Identity is this host's. Its methods may be called from any goroutine.
type Identity struct {
	config  Config
	logger  *slog.Logger
	metrics *metrics
	ready   chan struct{}
	isReady sync.Once
	now     atomic.Pointer[present]
	quiet   quiet
}

// present is what handshakes go by; it does not change.
type present struct {
	// file is the content of the file of authorities, and listed what is in it.
	file   []byte
	listed []*x509.Certificate
	// told are authorities that came with the certificate.
	told []*x509.Certificate
	// pool is of both.
	pool *x509.CertPool
	// certificate is this host's; nil before the first.
	certificate *tls.Certificate
	renew       time.Time
}

// New reads the authorities; Run gets the certificate.
func New(config Config) (*Identity, error) {
	if config.Namespace == "" || config.HostID == "" || config.Controller == "" || config.Logger == nil {
		return nil, errors.New("identity: namespace, host id, controller and logger are required")
	}
	metrics, err := newMetrics(config.Metrics)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	i := &Identity{config: config, logger: config.Logger, metrics: metrics, ready: make(chan struct{})}
	i.now.Store(&present{pool: x509.NewCertPool()})
	if err := i.readAuthorities(); err != nil {
		return nil, err
	}
	return i, nil
}

// Ready is closed when this host has a certificate.
func (i *Identity) Ready() <-chan struct{} { return i.ready }

// Enrolled reports whether this host has a certificate.
func (i *Identity) Enrolled() bool { return i.now.Load().certificate != nil }

// Run has a certificate made, and again when it is time, until ctx ends. It never gives up.
func (i *Identity) Run(ctx context.Context) error {
	pause := firstRetry
	for ctx.Err() == nil {
		if err := i.readAuthorities(); err != nil {
			i.warn("authorities", "authorities of the mesh are unusable: those of before stay in use", err)
		}
		wait := lookEvery
		if !i.now.Load().needs(time.Now()) {
			pause = firstRetry
		} else if err := i.enrol(ctx); err != nil && ctx.Err() == nil {
			i.warn("enrol", "no certificate from the controller; asking again", err)
			wait, pause = pause/2+rand.N(pause/2), min(2*pause, lastRetry)
		}
		if until := time.Until(i.now.Load().renew); until > 0 {
			wait = min(wait, until)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// needs reports whether a certificate is to be asked for: there is none, it is old, or no authority of the file, which is
// what others go by, would vouch for it.
func (p *present) needs(now time.Time) bool {
	if p.certificate == nil || !now.Before(p.renew) {
		return true
	}
	return meshcert.Verify([]*x509.Certificate{p.certificate.Leaf}, meshcert.Pool(p.listed), x509.ExtKeyUsageClientAuth, now) != nil &&
		meshcert.Verify([]*x509.Certificate{p.certificate.Leaf}, meshcert.Pool(p.told), x509.ExtKeyUsageClientAuth, now) != nil
}

// readAuthorities takes in a change of the file. Only New and Run call it. What came with the certificate is forgotten
// when the file no longer has any of it: then the authority is another.
func (i *Identity) readAuthorities() error {
	content, err := os.ReadFile(i.config.CAFile)
	if err != nil {
		return fmt.Errorf("read authorities of the mesh: %w", err)
	}
	old := i.now.Load()
	if bytes.Equal(content, old.file) {
		return nil
	}
	listed, err := meshcert.Decode(content)
	if err != nil {
		return fmt.Errorf("authorities of the mesh in %s: %w", i.config.CAFile, err)
	}
	next := *old
	next.file, next.listed = content, listed
	if !overlap(next.told, listed) {
		next.told = nil
	}
	next.pool = meshcert.Pool(append(listed[:len(listed):len(listed)], next.told...))
	i.now.Store(&next)
	return nil
}

func overlap(a, b []*x509.Certificate) bool {
	for _, one := range a {
		for _, other := range b {
			if one.Equal(other) {
				return true
			}
		}
	}
	return false
}
