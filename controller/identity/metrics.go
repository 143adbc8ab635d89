package identity

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

type metrics struct {
	issued   *prometheus.CounterVec // code
	refusals *prometheus.CounterVec // reason
	expiry   *prometheus.GaugeVec   // of
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_certificates_issued_total", Help: "Certificates that hosts asked for, by gRPC code.",
		}, []string{"code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_host_refused_total", Help: "Hosts whose certificate was refused, by reason.",
		}, []string{"reason"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wasmesh_certificate_expiry_seconds", Help: "When the authority that signs, and the serving certificate, end: Unix time.",
		}, []string{"of"}),
	}
	for _, reason := range meshcert.Reasons() {
		m.refusals.WithLabelValues(string(reason))
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.issued, m.refusals, m.expiry} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) show(now *present) {
	m.expiry.WithLabelValues("authority").Set(float64(now.authorities.signer.cert.NotAfter.Unix()))
	m.expiry.WithLabelValues("serving").Set(float64(now.serving.Leaf.NotAfter.Unix()))
}
