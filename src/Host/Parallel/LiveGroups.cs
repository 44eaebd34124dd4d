namespace Moe.Plugins;

/// <summary>The groups that a host made and that are not disposed.</summary>
/// <param name="options">The host's, with the time that a plugin has for an answer.</param>
internal sealed class LiveGroups(MoeOptions options)
{
    private readonly Lock _lock = new();
    private readonly HashSet<HostGroup> _groups = [];
    private bool _isClosed;

    /// <summary>Makes a group with the backend that suits it best.</summary>
    /// <param name="plugins">The plugins, which a lease keeps.</param>
    /// <param name="request">The group.</param>
    /// <param name="backend">A plugin's id; null for any.</param>
    /// <param name="owned">What goes with the group; null for nothing.</param>
    /// <exception cref="MoeException">No plugin can make it; the message has each one's reason.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public IMoeGroup Create(IReadOnlyList<PluginRecord> plugins, MoeGroupRequest request, string? backend, IDisposable? owned = null)
    {
        request.Validate();
        HostGroup group = Make(plugins, request, backend, owned);
        lock (_lock)
        {
            if (!_isClosed)
            {
                _groups.Add(group);
                return group;
            }
        }

        group.Dispose();
        throw new ObjectDisposedException(nameof(MoeHost));
    }

    /// <summary>Whether a plugin has groups with such a device.</summary>
    public bool CanJoin(IReadOnlyList<PluginRecord> plugins, MoeDevice device)
    {
        var request = new MoeGroupRequest { Devices = [device], MaxTokens = 1, Width = 1 << 10 };
        return plugins.Any(plugin => !plugin.HasEnded && plugin.Backend is IMoeParallelBackend parallel && Ask(plugin, parallel, request).IsSupported);
    }

    /// <summary>Disposes all, and whatever comes later.</summary>
    public void Close()
    {
        HostGroup[] groups;
        lock (_lock)
        {
            _isClosed = true;
            groups = [.. _groups];
        }

        foreach (HostGroup group in groups)
        {
            // One plugin's group that fails at freeing must not keep the others from it.
            Fault.Ignore(group.Dispose);
        }
    }

    private HostGroup Make(IReadOnlyList<PluginRecord> plugins, MoeGroupRequest request, string? backend, IDisposable? owned)
    {
        try
        {
            PluginRecord plugin = Choose(plugins, request, backend);
            if (request.Rendezvous is { } rendezvous)
            {
                Agreement.Require(
                    rendezvous,
                    "making a group",
                    [
                        ("the version of the contract", MoeContract.Version),
                        ("the group's plugin", plugin.Id),
                        ("the version of plugin " + plugin.Id, plugin.Version),
                        (nameof(MoeGroupRequest.Width), $"{request.Width}"),
                        (nameof(MoeGroupRequest.MaxTokens), $"{request.MaxTokens}"),
                        (nameof(MoeGroupRequest.ElementType), $"{request.ElementType}"),
                        (nameof(MoeGroupRequest.Timeout), $"{request.Timeout}"),
                    ],
                    request.Timeout);
            }

            IMoeGroup made = PluginOwner.Call(
                plugin.Owner,
                "making a group",
                () => HostGroup.Require(
                    ((IMoeParallelBackend)plugin.Backend!).CreateGroup(request), $"What {nameof(IMoeParallelBackend)}.{nameof(IMoeParallelBackend.CreateGroup)} returned"));
            try
            {
                return new HostGroup(made, plugin, request.LocalRanks.Count, Remove, owned);
            }
            catch
            {
                Fault.Ignore(made.Dispose);
                throw;
            }
        }
        catch (Exception exception)
        {
            // The others wait for this rank.
            request.Rendezvous?.Abort(MoeReason.PeerFailed, $"Rank {request.Rendezvous.Rank} cannot make the group: {Fault.Read(exception).Sentence}");
            throw;
        }
    }

    private PluginRecord Choose(IReadOnlyList<PluginRecord> plugins, MoeGroupRequest request, string? backend)
    {
        var refusals = new List<(string Id, MoeReason Reason, string Message)>();
        (PluginRecord Plugin, int Score)? best = null;

        // Those that are at an end last: whether they would have had groups is not known.
        foreach (PluginRecord plugin in plugins.OrderBy(static plugin => plugin.HasEnded))
        {
            bool isMeant = backend is null || string.Equals(plugin.Id, backend, StringComparison.OrdinalIgnoreCase);
            if (isMeant && plugin.HasEnded)
            {
                refusals.Add((plugin.Id, plugin.Reason, plugin.Message));
                continue;
            }

            if (!isMeant || plugin.Backend is not IMoeParallelBackend parallel)
            {
                continue;
            }

            MoeProbeResult result = Ask(plugin, parallel, request);
            if (!result.IsSupported)
            {
                refusals.Add((plugin.Id, result.Reason, PlainText.OfMessage(result.Message)));
            }
            else if (best is null || result.Score > best.Value.Score)
            {
                best = (plugin, result.Score);
            }
        }

        return best?.Plugin ?? throw None(refusals, backend);
    }

    private MoeProbeResult Ask(PluginRecord plugin, IMoeParallelBackend backend, MoeGroupRequest request)
    {
        var answer = new Deadline<MoeProbeResult>($"Moe.Plugins probe of a group of {plugin.Id}", () => backend.ProbeGroup(request));
        try
        {
            if (answer.TryGet(options.ActivationTimeout, out MoeProbeResult? result))
            {
                return result ?? MoeProbeResult.Unsupported(MoeReason.ContractBroken, "Its probe returned null.");
            }

            plugin.TimeOut(MoePluginStepKind.Probe, "Its probe of a group", options);
            return MoeProbeResult.Unsupported(plugin.Reason, plugin.Message);
        }
        catch (Exception exception)
        {
            Fault fault = Fault.Read(exception);
            return MoeProbeResult.Unsupported(fault.Reason, fault.Sentence);
        }
    }

    private static MoeException None(List<(string Id, MoeReason Reason, string Message)> refusals, string? backend) => refusals.Count == 0
        ? new MoeException(MoeReason.NotFound, $"{(backend is null ? "No plugin" : $"No plugin '{backend}'")} that has groups of ranks is there.")
        : new MoeException(refusals[0].Reason, $"No plugin can make the group. {string.Join(" ", refusals.Select(refusal => $"{refusal.Id}: {refusal.Message}"))}");

    private void Remove(HostGroup group)
    {
        lock (_lock)
        {
            _groups.Remove(group);
        }
    }
}
