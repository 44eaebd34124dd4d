namespace Moe.Plugins.Conformance;

/// <summary>A group of the backend that is checked, and a thread for each rank.</summary>
internal sealed class GroupUnderTest : IDisposable
{
    /// <summary>What no wait of a rank may outlast, whatever the group's own time limit.</summary>
    private static readonly TimeSpan MostOfARank = TimeSpan.FromSeconds(60);

    private readonly RuleRun _run;
    private bool _isLeftBehind;

    private GroupUnderTest(RuleRun run, IMoeGroup group)
    {
        _run = run;
        Group = group;
    }

    public IMoeGroup Group { get; }

    /// <summary>Makes a group; null where the backend has none of that size.</summary>
    /// <param name="run">The rule's.</param>
    /// <param name="size">How large.</param>
    /// <param name="timeout">The group's time limit.</param>
    /// <param name="refusal">Why there is none.</param>
    public static GroupUnderTest? Create(RuleRun run, GroupSize size, TimeSpan timeout, out string refusal)
    {
        run.CancellationToken.ThrowIfCancellationRequested();
        refusal = "";
        if (run.Subject.Backend is not IMoeParallelBackend backend)
        {
            refusal = $"the backend is no {nameof(IMoeParallelBackend)}";
            return null;
        }

        bool isOfDevices = false;
        foreach (MoeDevice[] devices in Placements(run.Subject.Device, size.Ranks))
        {
            MoeGroupRequest request = new()
            {
                Devices = devices,
                MaxTokens = GroupSize.MaxTokens,
                Width = size.Width,
                ElementType = size.Type,
                Timeout = timeout,
            };
            MoeProbeResult answer = backend.ProbeGroup(request);
            if (answer.IsSupported)
            {
                run.At($"{size.Ranks} ranks on {string.Join(", ", devices.Select(device => device.ToString()))}, {size.Width} columns of {size.Type}, seed {run.Subject.Seed}");
                return new GroupUnderTest(run, backend.CreateGroup(request));
            }

            // What it says of devices that are there says more than that others are not.
            if (refusal.Length == 0 || (!isOfDevices && answer.Reason != MoeReason.NoDevice))
            {
                refusal = answer.Message;
                isOfDevices = answer.Reason != MoeReason.NoDevice;
            }
        }

        return null;
    }

    /// <summary>Does something on each rank's thread, and waits for all.</summary>
    /// <returns>What each rank threw; null where it did not.</returns>
    /// <exception cref="TimeoutException">A rank does not come back.</exception>
    public Exception?[] Run(Action<IMoeCommunicator> work, Action? meanwhile = null)
    {
        Deadline<Exception?>[] ranks = [.. Group.Members.Select(member => new Deadline<Exception?>(
            $"Moe.Plugins rank {member.Rank} of a rule's group",
            () =>
            {
                try
                {
                    work(member);
                    return null;
                }
                catch (Exception exception)
                {
                    return exception;
                }
            },
            _run.Subject.Clock))];
        meanwhile?.Invoke();
        var errors = new Exception?[ranks.Length];
        for (int rank = 0; rank < ranks.Length; rank++)
        {
            if (!ranks[rank].TryGet(MostOfARank, out errors[rank]))
            {
                _isLeftBehind = true;
                _run.TimeOut(MostOfARank, ranks[rank].DescribeLate($"rank {rank} of {_run.Who}"));
                Group.Abort("A rank does not come back.");
                throw new TimeoutException();
            }
        }

        return errors;
    }

    /// <summary>Waits for what a rank enqueued, and throws what ended its group meanwhile.</summary>
    public static void Wait(IMoeCommunicator member, nint stream)
    {
        member.Memory.Synchronize(stream);
        if (member.Failure is { } failure)
        {
            throw new MoeException(failure.Reason, failure.Message, failure);
        }
    }

    /// <summary>A plain sum of rows that nobody looks at.</summary>
    public static void Reduce(IMoeCommunicator member, int rows)
    {
        using var output = new MoeBuffer(member.Memory, member.Request.ElementType, GroupSize.MaxTokens, member.Request.Width);
        nint stream = member.Memory.CreateStream();
        try
        {
            MoePartial partial = member.LendPartial(rows);
            member.Memory.Zero(partial.View.Address, Math.Max(1, rows * partial.View.RowBytes), stream);
            member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output.View.FirstRows(rows), Stream = stream });
            Wait(member, stream);
        }
        finally
        {
            member.Memory.Synchronize(stream);
            member.Memory.DestroyStream(stream);
        }
    }

    public void Dispose()
    {
        // Whoever was left behind still uses its memory.
        if (!_isLeftBehind)
        {
            Group.Dispose();
        }
    }

    // A device a rank if there are so many, then fewer, then one for all; the processor last.
    private static IEnumerable<MoeDevice[]> Placements(MoeDevice? asked, int ranks)
    {
        if (asked is { } only)
        {
            return [[.. Enumerable.Repeat(only, ranks)]];
        }

        IEnumerable<MoeDevice[]> cuda = Enumerable.Range(0, ranks).Select(i => ranks - i)
            .Select(count => Enumerable.Range(0, ranks).Select(rank => MoeDevice.Cuda(rank % count)).ToArray());
        return cuda.Append([.. Enumerable.Repeat(MoeDevice.Cpu, ranks)]);
    }
}
