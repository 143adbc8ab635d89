package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pageTimeout bounds the small pages for machines: a scrape of ten thousand series takes milliseconds.
const pageTimeout = 10 * time.Second

// pageEnd is for an answer that is complete to leave.
const pageEnd = time.Second

// page is a small HTTP server for machines that watch this host.
type page struct {
	server   *http.Server
	listener net.Listener
}

func newPage(address string, handler http.Handler) (*page, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &page{
		listener: listener,
		server:   &http.Server{Handler: handler, ReadTimeout: pageTimeout, WriteTimeout: pageTimeout, IdleTimeout: time.Minute},
	}, nil
}

// serve returns when close has been called.
func (p *page) serve(context.Context) error {
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close gives answers under way, that of /prestop above all, a moment to go out.
func (p *page) close() {
	ctx, cancel := context.WithTimeout(context.Background(), pageEnd)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close()
	}
}

func metricsHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// healthHandler answers the kubelet, on the paths that ModelMesh's manifests probe.
func healthHandler(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}
