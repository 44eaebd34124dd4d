using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// Computes on a CUDA device, or on several, each of which is a rank with a share of the model. A batch of one token of each text is a step, which is recorded
/// as one graph for each number of texts and then replayed; all else, and every batch where an expert layer is elsewhere, is launched kernel by kernel.
/// </summary>
internal sealed class CudaEngine : IModelEngine
{
    private readonly IReadOnlyList<DeviceForward> _devices;
    private readonly ModelRanks _ranks;
    private readonly IReadOnlyList<ExpertLayer> _experts;
    private readonly CudaHostMemory _logits;
    private readonly int _vocabulary;
    private readonly int _maxContext;

    /// <summary>
    /// By the number of texts and whether ranks draw: false after the first step, which is launched kernel by kernel and loads what recording must find loaded.
    /// </summary>
    private readonly Dictionary<(int Count, bool IsDrawn), bool> _steps = [];

    private IReadOnlyCollection<int> _banned = [];

    /// <summary>Takes over the devices, once it is made.</summary>
    public CudaEngine(IReadOnlyList<DeviceForward> devices, ModelRanks ranks, GptOssConfig config, IReadOnlyList<ExpertLayer> experts, GptOssOptions options)
    {
        _devices = devices;
        _ranks = ranks;
        _experts = experts;
        _vocabulary = config.VocabularySize;
        _maxContext = options.MaxContext;
        _logits = devices[0].Context.AllocateHost((long)_vocabulary * sizeof(float));
    }

    public IReadOnlyList<MoeDevice> Devices => _ranks.Plan.Devices;

    public int ThreadCount => 0;

    public long WeightByteCount => _devices.Sum(device => device.WeightByteCount);

    /// <summary>Whether steps are recorded; else they are launched kernel by kernel.</summary>
    public bool UsesGraphs { get; set; } = true;

    /// <summary>Steps that were recorded.</summary>
    public int GraphCount => _steps.Values.Count(isRecorded => isRecorded);

    /// <summary>Whether large products are cuBLAS's.</summary>
    public bool HasBlas => _devices[0].HasBlas;

    public IKeyValueCache CreateCache() => new RankedCache(_devices.Select(device => device.Pool), _maxContext);

    public void Run(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        using CudaContextScope scope = _devices[0].Context.MakeCurrent();
        try
        {
            Ban(results.Banned);
            if (IsStep(tokens))
            {
                RunStep(tokens, results, cancellationToken);
            }
            else
            {
                RunPrompt(tokens, results, cancellationToken);
            }
        }
        catch (Exception exception)
        {
            Settle();
            throw exception is CudaException cuda ? CudaFault.Explain(cuda) : exception;
        }
    }

    public void ForgetExperts()
    {
        foreach (DeviceForward device in _devices)
        {
            device.ForgetSteps();
        }

        _steps.Clear();
    }

    public void Dispose()
    {
        Settle();
        _logits.Dispose();
        foreach (DeviceForward device in _devices)
        {
            device.Dispose();
        }
    }

    /// <summary>One token of each text, all of which ask.</summary>
    private static bool IsStep(IReadOnlyList<BatchToken> tokens)
    {
        if (tokens.Count > ModelKernels.MostTexts)
        {
            return false;
        }

        for (int i = 0; i < tokens.Count; i++)
        {
            if (tokens[i].LogitRow < 0 || (i > 0 && tokens[i].Sequence == tokens[i - 1].Sequence))
            {
                return false;
            }
        }

        return true;
    }

    private void RunStep(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        int count = tokens.Count;
        bool isDrawn = SetDraws(tokens, 0, count, results);
        foreach (DeviceForward device in _devices)
        {
            device.SetBatch(tokens);
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (!UsesGraphs || !_experts.All(layer => layer.IsAtHome))
        {
            OnDevices((device, ends) => device.EnqueueStep(count, isDrawn, ends), cancellationToken);
        }
        else if (!_steps.TryGetValue((count, isDrawn), out bool isRecorded))
        {
            OnDevices((device, ends) => device.EnqueueStep(count, isDrawn, ends), cancellationToken);
            _steps[(count, isDrawn)] = false;
        }
        else
        {
            if (!isRecorded)
            {
                OnDevices((device, _) => device.RecordStep(count, isDrawn), cancellationToken);
                _steps[(count, isDrawn)] = true;
            }

            foreach (DeviceForward device in _devices)
            {
                device.ReplayStep(count, isDrawn);
            }
        }

        Wait();
        Deliver(tokens, 0, count, results);
    }

    private void RunPrompt(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        int[] rows = [.. Enumerable.Range(0, tokens.Count).Where(i => tokens[i].LogitRow >= 0)];
        BatchToken[] asking = [.. rows.Select(row => tokens[row])];
        foreach (DeviceForward device in _devices)
        {
            device.SetBatch(tokens);
        }

        cancellationToken.ThrowIfCancellationRequested();
        OnDevices((device, ends) => device.EnqueuePrompt(tokens, ends), cancellationToken);
        for (int first = 0; first < asking.Length; first += ModelKernels.MostTexts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(ModelKernels.MostTexts, asking.Length - first);
            bool isDrawn = SetDraws(asking, first, count, results);
            int[] piece = rows[first..(first + count)];
            OnDevices((device, _) => device.EnqueueHeadOf(piece, isDrawn), cancellationToken);

            Wait();
            Deliver(asking, first, count, results);
        }

        Wait();
    }

    /// <summary>
    /// Does something on each rank's thread. Ranks wait for each other on their devices, so all of them enqueue a whole forward, or the group ends. Only
    /// where there is one device may the work be told to end early.
    /// </summary>
    private void OnDevices(Action<DeviceForward, CancellationToken> work, CancellationToken cancellationToken)
    {
        if (_devices.Count == 1)
        {
            work(_devices[0], cancellationToken);
            return;
        }

        _ranks.Run(rank =>
        {
            try
            {
                using CudaContextScope scope = _devices[rank].Context.MakeCurrent();
                work(_devices[rank], CancellationToken.None);
            }
            catch (Exception exception)
            {
                _ranks.Member(rank)!.Abort(exception.Message);
                throw;
            }
        });
    }

    /// <summary>Hands out what the devices found for some tokens that ask.</summary>
    private unsafe void Deliver(IReadOnlyList<BatchToken> asking, int first, int count, ForwardResults results)
    {
        for (int i = 0; i < count; i++)
        {
            int row = asking[first + i].LogitRow;
            if (!results.Logits.IsEmpty)
            {
                foreach (DeviceForward device in _devices)
                {
                    device.CopyLogits(i, _logits.Handle);
                }

                Wait();
                new Span<float>((void*)_logits.Handle, _vocabulary).CopyTo(results.Logits.Slice(row * _vocabulary, _vocabulary));
            }

            if (!results.Next.IsEmpty)
            {
                results.Next[row] = Chosen(i);
            }
        }
    }

    /// <summary>The likeliest of what the devices chose for a row; of equal ones the first, which has the lowest id. Where ranks draw together, all have chosen the same.</summary>
    private int Chosen(int row)
    {
        DeviceCandidate best = _devices[0].Chosen(row);
        for (int rank = 1; rank < _devices.Count; rank++)
        {
            DeviceCandidate other = _devices[rank].Chosen(row);
            best = other.Id < 0 || (best.Id >= 0 && other.Logit > best.Logit) ? other : best;
        }

        return best.Id >= 0 ? best.Id : throw Sampler.NotNumbers();
    }

    /// <summary>Says what is wanted of some tokens that ask.</summary>
    /// <returns>Whether ranks draw together.</returns>
    private bool SetDraws(IReadOnlyList<BatchToken> asking, int first, int count, ForwardResults results)
    {
        Span<DeviceDraw> draws = stackalloc DeviceDraw[ModelKernels.MostTexts];
        bool wantsLogits = !results.Logits.IsEmpty, isDrawn = false;
        for (int i = 0; i < count && !results.Next.IsEmpty; i++)
        {
            Sampler sampler = results.SamplerOf(asking[first + i].LogitRow);
            if (sampler.Options.Temperature == 0)
            {
                continue;
            }

            wantsLogits = true;
            isDrawn = _devices.Count > 1;
            draws[i] = new DeviceDraw(sampler.NextUnit(), (float)sampler.Options.Temperature, (float)sampler.LeastWeight, sampler.Options.TopP);
        }

        foreach (DeviceForward device in _devices)
        {
            device.SetDraws(wantsLogits, draws);
        }

        return isDrawn;
    }

    private void Ban(IReadOnlyCollection<int> banned)
    {
        if (ReferenceEquals(banned, _banned) || (banned.Count == 0 && _banned.Count == 0))
        {
            return;
        }

        uint[] words = new uint[(_vocabulary + 31) / 32];
        foreach (int id in banned)
        {
            words[id / 32] |= 1u << (id % 32);
        }

        foreach (DeviceForward device in _devices)
        {
            device.Ban(words);
        }

        _banned = banned;
    }

    /// <exception cref="MoeException">A rank did not come: the group has ended.</exception>
    private void Wait()
    {
        foreach (DeviceForward device in _devices)
        {
            device.Mark();
        }

        foreach (DeviceForward device in _devices)
        {
            device.Wait();
        }

        if (_ranks.Member(0)?.Failure is { } failure)
        {
            throw new MoeException(failure.Reason, $"The GPUs' group has ended: {failure.Message}", failure);
        }
    }

    /// <summary>Nothing may be under way when a text's memory is given back, whatever has failed.</summary>
    private void Settle()
    {
        foreach (DeviceForward device in _devices)
        {
            device.Settle();
        }
    }
}
