#!/bin/sh
# A Slurm of root's for every user of this one machine, where a class works on a workstation or a rented server:
#
#     sudo sh slurm/hub/one-machine.sh [CORES]
#
# Debian's or Ubuntu's packages slurm-wlm and munge must be here. CORES may be more than there are: jobs then share
# them, and the lessons say so. An /etc/slurm/slurm.conf that is there already is never touched.
set -eu
conf=/etc/slurm/slurm.conf
fail() { printf 'hpclab: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "this wants root: sudo sh $0"
[ ! -e "$conf" ] || fail "$conf is there already; this machine has a Slurm."
command -v slurmctld >/dev/null || fail "install the packages slurm-wlm and munge first."
cores=${1:-$(nproc)}
case $cores in '' | *[!0-9]* | 0*) fail "CORES is a number of cores, not '$cores'." ;; esac
host=$(hostname -s)
memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)

mkdir -p /etc/slurm
cat >"$conf" <<END
ClusterName=class
SlurmctldHost=$host
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
EnforcePartLimits=ALL
ReturnToService=2
NodeName=$host CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=class Nodes=ALL Default=YES DefaultTime=00:30:00 MaxTime=12:00:00 State=UP
END
install -d -o slurm -g slurm -m 755 /var/lib/slurm/slurmctld /var/log/slurm
for service in munge slurmctld slurmd; do
    if [ -d /run/systemd/system ]; then
        systemctl enable --quiet "$service" && systemctl restart "$service"
    else
        service "$service" start >/dev/null
    fi || fail "$service did not start; its words are in /var/log."
done
for _ in $(seq 30); do
    [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && echo "Slurm runs: partition class, $cores cores." && exit
    sleep 1
done
fail "Slurm did not come up; see /var/log/slurm."
