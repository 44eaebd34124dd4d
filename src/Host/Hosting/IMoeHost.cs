namespace Moe.Plugins;

/// <summary>Chooses a backend for each layer and makes the layers: what an application is injected with. <see cref="MoeHost"/> is the one there is.</summary>
/// <remarks>Thread-safe. Whoever made the host disposes it, and with it the layers: in a container, the container.</remarks>
public interface IMoeHost
{
    /// <summary>Every plugin that was found, in the order in which they were: what it is, how far it got, and why no further.</summary>
    IReadOnlyList<MoePluginInfo> Plugins { get; }

    /// <summary>Which backend was chosen for each layer that there is, and why.</summary>
    IReadOnlyList<MoeSelectionReport> Selections { get; }

    /// <summary>The ranks that <see cref="MoeOptions.Parallel"/> asks for.</summary>
    MoeRanks Ranks { get; }

    /// <summary>A sentence for each device whose context is lost: a restart of the process is the cure.</summary>
    IReadOnlyList<string> LostDevices { get; }

    /// <summary>
    /// Says which backend would run a layer, and what speaks against each other one. A plugin's fault is part of the answer.
    /// </summary>
    /// <exception cref="MoeException">The request's shape is invalid.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    MoeSelectionReport Explain(MoeLayerRequest request);

    /// <summary>Chooses a backend and makes the layer on it. Under <c>auto</c>, a backend that fails at it is followed by the next.</summary>
    /// <param name="request">The layer.</param>
    /// <param name="weights">The checkpoint's tensors; valid until the call returns.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeSelectionException">No backend could be had; the report says why.</exception>
    /// <exception cref="MoeException">The shape, an option or the weights are wrong.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    IMoeLayer CreateLayer(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress = null, CancellationToken cancellationToken = default);

    /// <summary>
    /// Does what <see cref="CreateLayer"/> does on a thread of its own, so that the caller's is free while gigabytes are read and repacked.
    /// </summary>
    /// <param name="request">The layer.</param>
    /// <param name="weights">The checkpoint's tensors; valid until the task ends.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeSelectionException">No backend could be had; the report says why.</exception>
    /// <exception cref="MoeException">The shape, an option or the weights are wrong.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    Task<IMoeLayer> CreateLayerAsync(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress = null, CancellationToken cancellationToken = default);

    /// <summary>
    /// Makes a group of ranks with the plugin that suits it best; which backends the ranks' layers run on is another matter. Disposed by
    /// whoever asked for it, after the layers' states, or with the host.
    /// </summary>
    /// <param name="request">The group.</param>
    /// <param name="backend">A plugin's id; null for any that has groups.</param>
    /// <exception cref="MoeException">The request is wrong, or no plugin can make the group: the message has each one's reason.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    IMoeGroup CreateGroup(MoeGroupRequest request, string? backend = null);

    /// <summary>
    /// Makes the group of <see cref="Ranks"/> for layers like one, of whose sizes it takes the width, the most tokens and the type. Where the
    /// ranks are processes, it meets the others first, and finds out whether all have the same versions.
    /// </summary>
    /// <param name="layer">The whole layer, or any that is as wide.</param>
    /// <param name="backend">A plugin's id; null for any that has groups.</param>
    /// <exception cref="MoeException">
    /// No plugin can make the group; ranks do not come in time, or differ (<see cref="MoeReason.Configuration"/>): the message says who and in what.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    IMoeGroup CreateGroupFor(MoeLayerRequest layer, string? backend = null);

    /// <summary>
    /// Takes what a plugin's folder holds now. New layers use it; those that there are go on with the version that they were made with,
    /// which is disposed and unloaded with the last of them. Where it cannot be used, the version before is kept, and the report and the
    /// log say why. A plugin that was not there when the host was made is loaded.
    /// </summary>
    /// <param name="id">The plugin's id.</param>
    /// <param name="cancellationToken">Ends the wait for a reload that is under way.</param>
    /// <exception cref="MoeException">No plugin has the id, or it is part of the program.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    Task<MoeReloadReport> ReloadAsync(string id, CancellationToken cancellationToken = default);

    /// <summary>
    /// Reloads, as <see cref="ReloadAsync"/> does, each plugin whose folder's content is not what it was at the last look, and loads
    /// those that were added. To be called now and then: contents are compared, so it sees every way of deploying on every file system.
    /// </summary>
    /// <returns>A report for each plugin that was looked at again; empty where nothing changed.</returns>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    Task<IReadOnlyList<MoeReloadReport>> ReloadChangedAsync(CancellationToken cancellationToken = default);
}
