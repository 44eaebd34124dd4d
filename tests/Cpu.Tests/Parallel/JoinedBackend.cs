using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>
/// Groups of processes as one: each rank has a rendezvous and a group of its own, which know each other only by the network, and all are in
/// this process, so that whoever checks groups of threads can check them.
/// </summary>
internal sealed class JoinedBackend(IMoeParallelBackend inner) : IMoeBackend, IMoeParallelBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Unsupported(MoeReason.Shape, "it has groups only");

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => throw new MoeException(MoeReason.Shape, "it has groups only");

    public MoeProbeResult ProbeGroup(MoeGroupRequest request) => inner.ProbeGroup(request);

    public IMoeGroup CreateGroup(MoeGroupRequest request)
    {
        int port = FreePort.Find();
        var ends = new (IMoeGroup Group, MoeRendezvous Rendezvous)[request.Devices.Count];
        var errors = new Exception?[ends.Length];
        OnThreads(ends.Length, rank =>
        {
            try
            {
                var rendezvous = MoeRendezvous.Join(new MoeRendezvousOptions { Address = "localhost", Port = port, Rank = rank, Count = ends.Length });
                ends[rank] = (inner.CreateGroup(request with { Rendezvous = rendezvous }), rendezvous);
            }
            catch (Exception exception)
            {
                errors[rank] = exception;
            }
        });
        return errors.FirstOrDefault(error => error is not null) is { } error ? throw error : new JoinedGroup(ends);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static void OnThreads(int count, Action<int> work)
    {
        Thread[] threads = [.. Enumerable.Range(0, count).Select(rank => new Thread(() => work(rank)) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
    }

    private sealed class JoinedGroup((IMoeGroup Group, MoeRendezvous Rendezvous)[] ends) : IMoeGroup
    {
        public IReadOnlyList<IMoeCommunicator> Members { get; } = [.. ends.Select(end => end.Group.Members.Single())];

        /// <summary>What the first end has heard of: an end hears from another one a little later than that one's own calls end.</summary>
        public MoeException? Failure => ends.Select(end => end.Group.Failure).FirstOrDefault(failure => failure is not null);

        public void Abort(string why)
        {
            ends[0].Group.Abort(why);

            // Whoever checks a group of one process takes it for granted that all ends know at once.
            SpinWait.SpinUntil(() => Array.TrueForAll(ends, end => end.Group.Failure is not null), TimeSpan.FromSeconds(10));
        }

        public void Dispose() => OnThreads(ends.Length, rank =>
        {
            ends[rank].Group.Dispose();
            ends[rank].Rendezvous.Dispose();
        });
    }
}
